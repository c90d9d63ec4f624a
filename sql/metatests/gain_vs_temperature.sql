-- How does the gain change with the temperature of the CCDs?
-- One row per block, and one of all blocks together (block NULL), from the current runs of PTC02_148K and its like and of PTC01.
-- Temperature: mean of the two sensors of each CCD over the exposures of the test.
-- For each channel a straight line through the logarithms of its gains, weighted with their errors; the slopes are averaged with
-- theirs. `chi2`: of the gains about the lines of the channels, about as large as `dof` if a line describes them; `slopes_chi2`: of
-- the slopes about their mean, about n_channels - 1 if all channels have one. Channels whose gains are less
-- than 1 K apart are left out.
with conditions as (
    select a.acquisition, left(h.key, 4) as ccd, avg(h.mean) as temperature_degc
    from acquisitions a
    join hk_summary h on h.block = a.block and h.obsid between a.obsid_first and a.obsid_last
    where regexp_full_match(h.key, 'CCD[123]_TEMP_[TB]')
    group by a.acquisition, left(h.key, 4)
),
points as (
    select
        g.block, g.ccd, g.quadrant, c.temperature_degc, ln(g.gain_e_per_adu) as log_gain,
        (g.gain_e_per_adu / g.gain_e_per_adu_err) ** 2 as weight
    from gain g
    join conditions c on c.acquisition = g.acquisition and c.ccd = g.ccd
    where g.is_adopted
        and g.status in ('ok', 'bound')
        and g.gain_e_per_adu > 0
        and g.gain_e_per_adu_err > 0
        and c.temperature_degc is not null
        and (g.test = 'PTC01' or regexp_full_match(g.test, 'PTC02_[0-9]+K'))
),
centred as (
    select
        *,
        temperature_degc - sum(weight * temperature_degc) over channel / sum(weight) over channel as dx,
        log_gain - sum(weight * log_gain) over channel / sum(weight) over channel as dy
    from points
    window channel as (partition by block, ccd, quadrant)
),
lines as (
    select
        block, ccd, quadrant, count(*) as n_points, min(temperature_degc) as x_min, max(temperature_degc) as x_max,
        sum(weight * dx * dy) / sum(weight * dx ** 2) as slope,
        1 / sqrt(sum(weight * dx ** 2)) as slope_err,
        sum(weight * dy ** 2) - slope ** 2 * sum(weight * dx ** 2) as chi2
    from centred
    group by block, ccd, quadrant
    having max(temperature_degc) - min(temperature_degc) > 1
)
select
    block,
    count(*) as n_channels,
    min(x_min) as temperature_min_degc,
    max(x_max) as temperature_max_degc,
    100 * sum(slope / slope_err ** 2) / sum(1 / slope_err ** 2) as slope_pct_per_k,
    100 / sqrt(sum(1 / slope_err ** 2)) as slope_pct_per_k_err,
    slope_pct_per_k / slope_pct_per_k_err as sigma,
    100 * stddev_samp(slope) as slope_std_pct_per_k,
    sum(slope ** 2 / slope_err ** 2) - (slope_pct_per_k / slope_pct_per_k_err) ** 2 as slopes_chi2,
    sum(chi2) as chi2,
    sum(n_points - 2) as dof
from lines
group by grouping sets ((block), ())
having count(*) > 0
order by block nulls last

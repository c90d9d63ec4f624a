-- How does the gain change with the voltage of the reset drain?
-- One row per block, and one of all blocks together (block NULL), from the current runs of PTC02_155R and its like and of PTC01.
-- Voltage: the commanded one of the log, mean of both sides where it has two.
-- For each channel a straight line through the logarithms of its gains, weighted with their errors; the slopes are averaged with
-- theirs. `chi2`: of the gains about the lines of the channels, about as large as `dof` if a line describes them; `slopes_chi2`: of
-- the slopes about their mean, about n_channels - 1 if all channels have one. Channels whose gains are less
-- than 0.1 V apart are left out.
with conditions as (
    select a.acquisition, e.ccd,
        avg(coalesce((e.rd_t_v + e.rd_b_v) / 2, case e.ccd when 'CCD1' then e.rd_1_v when 'CCD2' then e.rd_2_v else e.rd_3_v end))
            as reset_drain_v
    from acquisitions a
    join exposures e on e.block = a.block and e.obsid between a.obsid_first and a.obsid_last
    group by a.acquisition, e.ccd
),
points as (
    select
        g.block, g.ccd, g.quadrant, c.reset_drain_v, ln(g.gain_e_per_adu) as log_gain,
        (g.gain_e_per_adu / g.gain_e_per_adu_err) ** 2 as weight
    from gain g
    join conditions c on c.acquisition = g.acquisition and c.ccd = g.ccd
    where g.is_adopted
        and g.status in ('ok', 'bound')
        and g.gain_e_per_adu > 0
        and g.gain_e_per_adu_err > 0
        and c.reset_drain_v is not null
        and (g.test = 'PTC01' or regexp_full_match(g.test, 'PTC02_[0-9]+R'))
),
centred as (
    select
        *,
        reset_drain_v - sum(weight * reset_drain_v) over channel / sum(weight) over channel as dx,
        log_gain - sum(weight * log_gain) over channel / sum(weight) over channel as dy
    from points
    window channel as (partition by block, ccd, quadrant)
),
lines as (
    select
        block, ccd, quadrant, count(*) as n_points, min(reset_drain_v) as x_min, max(reset_drain_v) as x_max,
        sum(weight * dx * dy) / sum(weight * dx ** 2) as slope,
        1 / sqrt(sum(weight * dx ** 2)) as slope_err,
        sum(weight * dy ** 2) - slope ** 2 * sum(weight * dx ** 2) as chi2
    from centred
    group by block, ccd, quadrant
    having max(reset_drain_v) - min(reset_drain_v) > 0.1
)
select
    block,
    count(*) as n_channels,
    min(x_min) as reset_drain_min_v,
    max(x_max) as reset_drain_max_v,
    100 * sum(slope / slope_err ** 2) / sum(1 / slope_err ** 2) as slope_pct_per_v,
    100 / sqrt(sum(1 / slope_err ** 2)) as slope_pct_per_v_err,
    slope_pct_per_v / slope_pct_per_v_err as sigma,
    100 * stddev_samp(slope) as slope_std_pct_per_v,
    sum(slope ** 2 / slope_err ** 2) - (slope_pct_per_v / slope_pct_per_v_err) ** 2 as slopes_chi2,
    sum(chi2) as chi2,
    sum(n_points - 2) as dof
from lines
group by grouping sets ((block), ())
having count(*) > 0
order by block nulls last

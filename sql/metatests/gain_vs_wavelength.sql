-- Does the gain depend on the wavelength of the light?
-- One row per wavelength, from the current runs of PTC02 (and of PTC01 for the gain itself), blocks that fly in the final design.
-- The ratio is to the adopted gain of the same channel where that comes from another run; its mean is weighted with the errors of
-- both gains. Sigma: mean ratio minus 1 in its errors. Chi-square, one degree of freedom per channel, is that of ratio 1: about
-- as large as n_ratios if the gains agree within their errors. The slope is that of all wavelengths, the same in every row: for each
-- channel a straight line through the logarithms of its gains, weighted with their errors, as are the slopes in their mean.
with gains as (
    select
        g.test, g.block, g.ccd, g.quadrant, g.wavelength_nm, g.gain_e_per_adu, ln(g.gain_e_per_adu) as log_gain,
        (g.gain_e_per_adu / g.gain_e_per_adu_err) ** 2 as weight,
        g.gain_e_per_adu / a.gain_e_per_adu as ratio,
        sqrt((g.gain_e_per_adu_err / g.gain_e_per_adu) ** 2 + (a.gain_e_per_adu_err / a.gain_e_per_adu) ** 2) as ratio_err
    from gain g
    join channels c on c.design = 'final' and c.ccdid is not null and c.block = g.block and c.ccd = g.ccd and c.quadrant = g.quadrant
    left join adopted_gain a on a.block = g.block and a.ccd = g.ccd and a.quadrant = g.quadrant and a.run_id <> g.run_id
    where g.is_adopted
        and g.status in ('ok', 'bound')
        and (g.test = 'PTC01' or regexp_full_match(g.test, 'PTC02_[0-9]+'))
),
centred as (
    select
        block, ccd, quadrant, weight,
        wavelength_nm - sum(weight * wavelength_nm) over channel / sum(weight) over channel as dx,
        log_gain - sum(weight * log_gain) over channel / sum(weight) over channel as dy
    from gains
    where wavelength_nm is not null and weight is not null
    window channel as (partition by block, ccd, quadrant)
),
slope as (
    -- the weight of a slope is the sum of weight * dx ** 2, so that the weighted mean is one quotient of sums
    select
        1e4 * sum(weight * dx * dy) / nullif(sum(weight * dx ** 2), 0) as pct_per_100nm,
        1e4 / sqrt(nullif(sum(weight * dx ** 2), 0)) as pct_per_100nm_err
    from centred
)
select
    test,
    any_value(wavelength_nm) as wavelength_nm,
    count(distinct block) as n_blocks,
    count(gain_e_per_adu) as n_channels,
    avg(gain_e_per_adu) as gain_mean_e_per_adu,
    stddev_samp(gain_e_per_adu) as gain_std_e_per_adu,
    count(ratio_err) as n_ratios,
    sum(ratio / ratio_err ** 2) / sum(1 / ratio_err ** 2) as ratio_mean,
    1 / sqrt(sum(1 / ratio_err ** 2)) as ratio_mean_err,
    (ratio_mean - 1) / ratio_mean_err as sigma,
    sum(((ratio - 1) / ratio_err) ** 2) as chi2,
    any_value(slope.pct_per_100nm) as slope_pct_per_100nm,
    any_value(slope.pct_per_100nm_err) as slope_pct_per_100nm_err
from gains, slope
group by test
order by wavelength_nm nulls last, test

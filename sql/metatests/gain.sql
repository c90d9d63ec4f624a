-- What is the gain of each block, test by test, and how many channels are inside the requirement?
-- Adopted model of the current runs; failed fits are counted, not averaged. The channels differ in truth: their mean is not
-- weighted, its error is that of the measurement alone, and their spread is beside it.
select
    g.test,
    g.block,
    any_value(g.wavelength_nm) as wavelength_nm,
    count(*) as n_channels,
    count(*) filter (where g.status in ('failed', 'no_data')) as n_failed,
    count(*) filter (where g.gain_e_per_adu > q.lo and g.gain_e_per_adu <= q.hi) as n_inside,
    avg(g.gain_e_per_adu) as gain_mean_e_per_adu,
    sqrt(sum(g.gain_e_per_adu_err ** 2)) / count(g.gain_e_per_adu_err) as gain_mean_err_e_per_adu,
    stddev_samp(g.gain_e_per_adu) as gain_std_e_per_adu,
    median(g.gain_e_per_adu_err) as gain_err_median_e_per_adu,
    min(g.gain_e_per_adu) as gain_min_e_per_adu,
    max(g.gain_e_per_adu) as gain_max_e_per_adu,
    median(g.a00_per_e) as a00_median_per_e,
    median(g.turnoff_e) as turnoff_median_e
from gain g
left join requirements q on q.requirement = 'gain'
where g.is_adopted
group by g.test, g.block
order by g.test, g.block

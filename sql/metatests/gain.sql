-- What is the gain of each block, test by test, and how many channels are inside 3.0 < gain <= 3.5 e/ADU?
-- Adopted model of the current runs; failed fits are counted, not averaged.
select
    test,
    block,
    any_value(wavelength_nm) as wavelength_nm,
    count(*) as n_channels,
    count(*) filter (where status in ('failed', 'no_data')) as n_failed,
    count(*) filter (where gain_e_per_adu > 3.0 and gain_e_per_adu <= 3.5) as n_inside,
    avg(gain_e_per_adu) as gain_mean_e_per_adu,
    stddev_samp(gain_e_per_adu) as gain_std_e_per_adu,
    min(gain_e_per_adu) as gain_min_e_per_adu,
    max(gain_e_per_adu) as gain_max_e_per_adu,
    median(gain_e_per_adu_err) as gain_err_median_e_per_adu,
    median(a00_per_e) as a00_median_per_e,
    median(turnoff_e) as turnoff_median_e
from gain
where is_adopted
group by test, block
order by test, block

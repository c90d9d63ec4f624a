-- How bright is the light source at each wavelength, how steady is it, how long does it take to saturate, and is its shutter late?
-- One row per test, block and wavelength: medians over the channels, whose errors are not independent (one lamp lights them all),
-- and their relative spread. Steadiness, from the equal exposures of the test, is the median over the CCDs.
with steady as (
    select test, block, median(rms_pct) as lamp_rms_pct, median(drift_pct_per_h) as lamp_drift_pct_per_h
    from stability
    group by test, block
)
select
    l.test,
    l.block,
    l.wavelength_nm,
    count(l.rate_adu_per_s) as n_channels,
    median(l.rate_adu_per_s) as rate_median_adu_per_s,
    median(l.rate_adu_per_s_err) as rate_err_median_adu_per_s,
    100 * stddev_samp(l.rate_adu_per_s) / nullif(avg(l.rate_adu_per_s), 0) as rate_spread_pct,
    any_value(s.lamp_rms_pct) as lamp_rms_pct,
    any_value(s.lamp_drift_pct_per_h) as lamp_drift_pct_per_h,
    median(l.saturation_s) as saturation_median_s,
    min(l.saturation_s) as saturation_min_s,
    median(l.shutter_offset_s) as shutter_offset_median_s,
    median(l.shutter_offset_s_err) as shutter_offset_err_median_s
from light_source l
left join steady s using (test, block)
group by l.test, l.block, l.wavelength_nm
order by l.test, l.block, l.wavelength_nm

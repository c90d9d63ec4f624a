-- How bright is the light source at each wavelength, how long does it take to saturate, and is its shutter late?
-- One row per test, block and wavelength: medians over the channels, and their relative spread.
select
    test,
    block,
    wavelength_nm,
    count(rate_adu_per_s) as n_channels,
    median(rate_adu_per_s) as rate_median_adu_per_s,
    100 * stddev_samp(rate_adu_per_s) / nullif(avg(rate_adu_per_s), 0) as rate_spread_pct,
    median(saturation_s) as saturation_median_s,
    min(saturation_s) as saturation_min_s,
    median(shutter_offset_s) as shutter_offset_median_s,
    median(shutter_offset_s_err) as shutter_offset_err_median_s,
    max(chi2 / nullif(dof, 0)) as chi2_per_dof_max
from light_source
group by test, block, wavelength_nm
order by test, block, wavelength_nm

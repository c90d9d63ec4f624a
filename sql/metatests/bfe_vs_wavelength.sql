-- Does the brighter-fatter effect depend on the wavelength of the light?
-- One row per wavelength, from the current runs of BF01, blocks that fly in the final design. Widths, their growth and the ellipticity are
-- the numbers of earlier campaigns (a point at half of the ADC's range). The ratio is that of a00 to a00 of the same channel at 800 nm;
-- its mean is weighted with the errors of both. Chi-square, one degree of freedom per channel, is that of ratio 1.
with found as (
    select
        s.test, s.block, s.ccd, s.quadrant, s.wavelength_nm, s.a00_per_e, s.a00_per_e_err, s.axis_ratio,
        w.fwhm_x_um, w.fwhm_y_um, w.fwhm_x_slope_um_per_10kadu, w.fwhm_y_slope_um_per_10kadu, w.ellipticity
    from bfe_summary s
    join channels c on c.design = 'final' and c.ccdid is not null and c.block = s.block and c.ccd = s.ccd and c.quadrant = s.quadrant
    left join bfe_widths w on w.run_id = s.run_id and w.ccd = s.ccd and w.quadrant = s.quadrant and w.status = 'ok'
    where s.status = 'ok' and starts_with(s.test, 'BF01')
),
ratios as (
    select
        f.*,
        f.a00_per_e / r.a00_per_e as ratio,
        abs(ratio) * sqrt((f.a00_per_e_err / f.a00_per_e) ** 2 + (r.a00_per_e_err / r.a00_per_e) ** 2) as ratio_err
    from found f
    left join found r
        on r.block = f.block and r.ccd = f.ccd and r.quadrant = f.quadrant and r.wavelength_nm = 800 and f.wavelength_nm <> 800
)
select
    test,
    any_value(wavelength_nm) as wavelength_nm,
    count(distinct block) as n_blocks,
    count(*) as n_channels,
    avg(a00_per_e) as a00_mean_per_e,
    stddev_samp(a00_per_e) as a00_std_per_e,
    avg(axis_ratio) as axis_ratio_mean,
    avg(fwhm_x_um) as fwhm_x_mean_um,
    avg(fwhm_y_um) as fwhm_y_mean_um,
    avg(fwhm_x_slope_um_per_10kadu) as slope_x_mean_um_per_10kadu,
    avg(fwhm_y_slope_um_per_10kadu) as slope_y_mean_um_per_10kadu,
    avg(ellipticity) as ellipticity_mean,
    count(ratio_err) as n_ratios,
    sum(ratio / ratio_err ** 2) / sum(1 / ratio_err ** 2) as ratio_mean,
    1 / sqrt(sum(1 / ratio_err ** 2)) as ratio_mean_err,
    sum(((ratio - 1) / ratio_err) ** 2) as chi2
from ratios
group by test
order by wavelength_nm nulls last, test

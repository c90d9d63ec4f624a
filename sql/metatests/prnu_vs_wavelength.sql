-- Does the non-uniformity of the response depend on the wavelength of the light?
-- One row per wavelength, from the current runs of FLAT01 and FLAT02, blocks that fly in the final design; of each run the script column
-- with most light. The ratio is to the non-uniformity of the same channel at 800 nm; its mean is weighted with the errors of both.
with best as (
    select p.test, p.block, p.ccd, p.quadrant, p.wavelength_nm, p.fluence_adu, p.prnu_pct, p.prnu_pct_err
    from prnu p
    join channels c on c.design = 'final' and c.ccdid is not null and c.block = p.block and c.ccd = p.ccd and c.quadrant = p.quadrant
    where p.status = 'ok' and starts_with(p.test, 'FLAT0')
    qualify row_number() over (partition by p.test, p.block, p.ccd, p.quadrant order by p.fluence_adu desc) = 1
),
ratios as (
    select
        b.*,
        b.prnu_pct / r.prnu_pct as ratio,
        ratio * sqrt((b.prnu_pct_err / b.prnu_pct) ** 2 + (r.prnu_pct_err / r.prnu_pct) ** 2) as ratio_err
    from best b
    left join best r
        on r.block = b.block and r.ccd = b.ccd and r.quadrant = b.quadrant and r.wavelength_nm = 800 and b.wavelength_nm <> 800
)
select
    test,
    any_value(wavelength_nm) as wavelength_nm,
    count(distinct block) as n_blocks,
    count(*) as n_channels,
    avg(prnu_pct) as prnu_mean_pct,
    stddev_samp(prnu_pct) as prnu_std_pct,
    max(prnu_pct) as prnu_max_pct,
    arg_max(block || ' ' || ccd || ' ' || quadrant, prnu_pct) as worst,
    count(ratio_err) as n_ratios,
    sum(ratio / ratio_err ** 2) / sum(1 / ratio_err ** 2) as ratio_mean,
    1 / sqrt(sum(1 / ratio_err ** 2)) as ratio_mean_err
from ratios
group by test
order by wavelength_nm nulls last, test

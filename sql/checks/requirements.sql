-- Does every channel of the focal plane meet its requirements, and with what margin?
-- One row per requirement and channel of the final design: the value, its limits, the distance to the nearest limit in the
-- unit of the value and in its errors (negative: outside), and the verdict. Noise is that of the serial overscan in BIAS02,
-- else in BIAS01.
with requirements (requirement, quantity, unit, lo, hi) as (
    values
        ('gain', 'gain_e_per_adu', 'e/ADU', 3.0, 3.5),
        ('read-out noise', 'ron_e', 'e', null, 4.5)
),
bias_runs as (
    select run_id
    from runs
    where is_current and test in ('BIAS01', 'BIAS02')
    qualify row_number() over (partition by block order by test desc) = 1
),
found as (
    select block, ccd, quadrant, 'gain_e_per_adu' as quantity, gain_e_per_adu as value, gain_e_per_adu_err as value_err
    from adopted_gain
    union all
    select block, ccd, quadrant, 'ron_e', ron_e, ron_e_err
    from readout_noise
    where region = 'ove' and run_id in (from bias_runs)
)
select
    q.requirement,
    c.ccdid,
    c.block,
    c.ccd,
    c.quadrant,
    f.value,
    f.value_err,
    q.unit,
    q.lo,
    q.hi,
    least(f.value - q.lo, q.hi - f.value) as margin,
    least(f.value - q.lo, q.hi - f.value) / nullif(f.value_err, 0) as margin_sigma,
    case
        when f.value is null then 'no value'
        when least(f.value - q.lo, q.hi - f.value) >= 0 then 'met'
        else 'not met'
    end as verdict
from requirements q
cross join channels c
left join found f using (block, ccd, quadrant, quantity)
where c.design = 'final' and c.ccdid is not null
order by q.requirement, margin nulls last, c.ccdid, c.quadrant

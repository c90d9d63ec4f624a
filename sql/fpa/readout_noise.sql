-- What is the read-out noise over the focal plane?
-- Serial overscan, BIAS02 where it has a current run, else BIAS01; final design. fpa_x and fpa_y count quadrants from the lower left.
with bias_runs as (
    select run_id
    from runs
    where is_current and test in ('BIAS01', 'BIAS02')
    qualify row_number() over (partition by block order by test desc) = 1
),
noise as (
    from readout_noise where region = 'ove' and run_id in (from bias_runs)
)
select c.slice, c.col, c.quadrant, c.fpa_x, c.fpa_y, c.ccdid, c.block, c.ccd,
    n.ron_adu as value, n.ron_adu_err as value_err, 'ADU' as unit, n.ron_e, n.ron_e_err, n.test
from channels c
left join noise n using (block, ccd, quadrant)
where c.design = 'final' and c.ccdid is not null
order by c.slice, c.col, c.quadrant

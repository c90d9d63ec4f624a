-- Which channels fail, or barely meet, which requirement?
-- One row per requirement of the table requirements and channel that was tested for it. Margin: distance of the value from the
-- nearer limit, negative outside, in the unit of the value and in its errors. Within two errors of a limit, without an error or
-- without a limit (a block without a table of offsets) the verdict cannot be told. Failures first, then the smallest margin.
with measured as (
    select 'adopted_gain.gain_e_per_adu' as quantity, null as region, block, ccd, quadrant,
        a.test, a.run_id, a.gain_e_per_adu as value, a.gain_e_per_adu_err as value_err
    from (select distinct block, ccd, quadrant from gain) photon_transfer
    left join adopted_gain a using (block, ccd, quadrant)
    union all
    select 'readout_noise.ron_e', region, block, ccd, quadrant, test, run_id, ron_e, ron_e_err from readout_noise
    union all
    select 'readout_noise.ron_adu', region, block, ccd, quadrant, test, run_id, ron_adu, ron_adu_err from readout_noise
    union all
    select 'offsets.offset_adu', region, block, ccd, quadrant, test, run_id, offset_adu, offset_adu_err from offsets
),
tested as (
    select
        q.requirement, q.severity, q.unit, c.ccdid, m.block, m.ccd, m.quadrant, m.test, m.run_id, m.value, m.value_err,
        -- an expected value that is not known leaves relative limits unknown
        q.lo + case when q.added_to is null then 0 else c.expected_offset_adu end as lo,
        q.hi + case when q.added_to is null then 0 else c.expected_offset_adu end as hi
    from measured m
    join requirements q on q.quantity = m.quantity and q.region is not distinct from m.region
    left join channels c on c.design = 'final' and c.block = m.block and c.ccd = m.ccd and c.quadrant = m.quadrant
    left join runs r on r.run_id = m.run_id
    left join acquisitions a on a.acquisition = r.acquisition
    where (q.tests is null or m.test in (from unnest(split(q.tests, ' '))))
        and coalesce(a.started_at >= q.valid_from, true)
        and coalesce(a.started_at < q.valid_to, true)
    qualify row_number() over (
        partition by q.requirement, m.block, m.ccd, m.quadrant order by list_position(split(q.tests, ' '), m.test)
    ) = 1
),
weighed as (
    select *, least(value - lo, hi - value) as margin, margin / nullif(value_err, 0) as margin_sigma
    from tested
)
select
    case
        when value is null then 'no value'
        when margin_sigma is null or abs(margin_sigma) < 2 then 'cannot be told'
        when margin_sigma > 0 then 'meets'
        else 'fails'
    end as verdict,
    requirement, severity, block, ccd, quadrant, ccdid, test, value, value_err, unit, lo, hi, margin, margin_sigma, run_id
from weighed
order by list_position(['fails', 'no value', 'cannot be told', 'meets'], verdict), margin_sigma, requirement, block, ccd, quadrant

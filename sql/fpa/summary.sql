-- What do the channels look like, parameter by parameter?
-- Over all channels of all blocks with a current value: the requirement, the median, the spread between channels (half of the
-- central 68 %), the error of one channel (median), the extremes, how many channels are outside the requirement, and how many so
-- by more than two errors. Noise and offset are those of the serial overscan in BIAS02, else in BIAS01. A photon-transfer noise
-- counts as 0 where the fit found a negative variance: left out, the upward fluctuations alone would make the median.
with bias_runs as (
    select run_id
    from runs
    where is_current and test in ('BIAS01', 'BIAS02')
    qualify row_number() over (partition by block order by test desc) = 1
),
noise as (
    from readout_noise where region = 'ove' and run_id in (from bias_runs)
),
photon_transfer as (
    select g.*, coalesce(g.noise_e, case when g.n00_adu2 is not null then 0 end) as noise_or_0_e
    from gain g
    join adopted_gain a using (block, ccd, quadrant, run_id, model)
),
found as (
    select 1 as place, 'gain' as parameter, 'e/ADU' as unit, 'gain' as requirement, block, ccd, quadrant,
        gain_e_per_adu as value, gain_e_per_adu_err as value_err
    from photon_transfer
    union all
    select 2, 'read-out noise', 'e', 'read_noise_e', block, ccd, quadrant, ron_e, ron_e_err from noise
    union all
    select 3, 'read-out noise', 'ADU', 'read_noise_adu', block, ccd, quadrant, ron_adu, ron_adu_err from noise
    union all
    select 4, 'photon-transfer noise', 'e', null, block, ccd, quadrant, noise_or_0_e, noise_e_err from photon_transfer
    union all
    select 5, 'photon-transfer turn-off', 'e', null, block, ccd, quadrant, turnoff_e, turnoff_e_err from photon_transfer
    union all
    select 6, 'a00', '1/e', null, block, ccd, quadrant, a00_per_e, a00_per_e_err from photon_transfer
    union all
    select 7, 'offset', 'ADU', 'offset', block, ccd, quadrant, offset_adu, offset_adu_err
    from offsets where region = 'ove' and run_id in (from bias_runs)
),
limited as (
    select
        f.*,
        coalesce(printf('%g to %g', q.lo, q.hi), 'up to ' || printf('%g', q.hi), 'above ' || printf('%g', q.lo))
            || case when q.added_to is null then '' else ' about the expected' end as limits,
        least(
            value - q.lo - case when q.added_to is null then 0 else c.expected_offset_adu end,
            q.hi + case when q.added_to is null then 0 else c.expected_offset_adu end - value
        ) as margin
    from found f
    left join requirements q on q.requirement = f.requirement
    left join channels c on c.design = 'final' and c.block = f.block and c.ccd = f.ccd and c.quadrant = f.quadrant
    where value is not null
)
select
    parameter,
    unit,
    limits as requirement,
    count(*) as n_channels,
    median(value) as median,
    (quantile_cont(value, 0.84) - quantile_cont(value, 0.16)) / 2 as spread,
    median(value_err) as error,
    min(value) as lowest,
    arg_min(block || ' ' || ccd || quadrant, value) as lowest_at,
    max(value) as highest,
    arg_max(block || ' ' || ccd || quadrant, value) as highest_at,
    case when limits is not null then count(*) filter (where margin < 0) end as n_outside,
    case when limits is not null then count(*) filter (where margin < -2 * value_err) end as n_fails
from limited
group by place, parameter, unit, limits
order by place

-- What do the channels of the camera look like, parameter by parameter?
-- Over all channels with a current value: the requirement, the median, the spread (half of the central 68 %), the extremes,
-- and how many channels are outside. Noise and offset are those of the serial overscan in BIAS02, else in BIAS01.
with bias_runs as (
    select run_id
    from runs
    where is_current and test in ('BIAS01', 'BIAS02')
    qualify row_number() over (partition by block order by test desc) = 1
),
photon_transfer as (
    select g.*
    from gain g
    join adopted_gain a using (block, ccd, quadrant, run_id, model)
),
found as (
    select 1 as place, 'gain' as parameter, 'e/ADU' as unit, 3.0 as lo, 3.5 as hi, block, ccd, quadrant, gain_e_per_adu as value
    from photon_transfer
    union all
    select 2, 'read-out noise', 'e', null, 4.5, block, ccd, quadrant, ron_e
    from readout_noise where region = 'ove' and run_id in (from bias_runs)
    union all
    select 3, 'read-out noise', 'ADU', null, null, block, ccd, quadrant, ron_adu
    from readout_noise where region = 'ove' and run_id in (from bias_runs)
    union all
    select 4, 'photon-transfer noise', 'e', null, null, block, ccd, quadrant, noise_e from photon_transfer
    union all
    select 5, 'photon-transfer turn-off', 'e', null, null, block, ccd, quadrant, turnoff_e from photon_transfer
    union all
    select 6, 'a00', '1/e', null, null, block, ccd, quadrant, a00_per_e from photon_transfer
    union all
    select 7, 'offset', 'ADU', null, null, block, ccd, quadrant, offset_adu
    from offsets where region = 'ove' and run_id in (from bias_runs)
)
select
    parameter,
    unit,
    case when lo is not null then lo || ' to ' || hi when hi is not null then 'up to ' || hi end as requirement,
    count(value) as n_channels,
    median(value) as median,
    (quantile_cont(value, 0.84) - quantile_cont(value, 0.16)) / 2 as spread,
    min(value) as lowest,
    arg_min(block || ' ' || ccd || quadrant, value) as lowest_at,
    max(value) as highest,
    arg_max(block || ' ' || ccd || quadrant, value) as highest_at,
    count(*) filter (where value < lo or value > hi) as n_outside
from found
where value is not null
group by place, parameter, unit, lo, hi
order by place

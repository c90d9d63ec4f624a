-- Which gain counts for each channel? That of the current PTC01 run; where it has none, that of the current PTC02 run whose
-- wavelength is nearest to 800 nm, the shorter of two equally near. PTC02 runs at other temperatures or voltages do not count.
create or replace view main.adopted_gain as
with candidates as (
    select
        *,
        case when test = 'PTC01' then null else abs(try_cast(replace(test, 'PTC02_', '') as integer) - 800) end as distance_nm
    from main.gain
    where is_adopted
        and status in ('ok', 'bound')
        and gain_e_per_adu is not null
        and (test = 'PTC01' or regexp_full_match(test, 'PTC02_[0-9]+'))
)
select block, ccd, quadrant, gain_e_per_adu, gain_e_per_adu_err, run_id, test, model, wavelength_nm
from candidates
qualify row_number() over (partition by block, ccd, quadrant order by distance_nm nulls first, test, run_id desc) = 1;

comment on view main.adopted_gain is 'The gain that counts for each channel: one row per block, ccd and quadrant.';
comment on column main.adopted_gain.block is 'block';
comment on column main.adopted_gain.ccd is 'CCD';
comment on column main.adopted_gain.quadrant is 'quadrant';
comment on column main.adopted_gain.gain_e_per_adu is 'gain [e/ADU]';
comment on column main.adopted_gain.gain_e_per_adu_err is 'one-sigma error of gain_e_per_adu [e/ADU]';
comment on column main.adopted_gain.run_id is 'run that made it';
comment on column main.adopted_gain.test is 'test it comes from';
comment on column main.adopted_gain.model is 'model of the photon-transfer curve';
comment on column main.adopted_gain.wavelength_nm is 'wavelength of the light [nm]';

-- How long does the flat source of each chamber take to saturate, and how late is its shutter?
-- One row per channel, light and current run that measured it: what a proposed chamber profile is made of.
select
    l.block,
    a.chamber,
    l.test,
    l.run_id,
    cast(cast(l.wavelength_nm as integer) as varchar) as label,
    l.ccd,
    l.quadrant,
    l.saturation_s,
    l.saturation_s_err,
    l.shutter_offset_s,
    l.shutter_offset_s_err
from light_source l
join acquisitions a using (acquisition)
where l.status = 'ok' and l.saturation_s is not null and l.saturation_s_err is not null
order by a.chamber, l.wavelength_nm, l.block, l.test, l.ccd, l.quadrant

-- Does the gain depend on the wavelength of the light?
-- Adopted model of the current runs of PTC01 and of PTC02 at a wavelength, blocks that fly in the final design. The ratio is
-- to the adopted gain of the same channel, so that it does not depend on which channels were measured.
with flying as (
    select block, ccd, quadrant from channels where design = 'final' and ccdid is not null
)
select
    g.test,
    any_value(g.wavelength_nm) as wavelength_nm,
    count(distinct g.block) as n_blocks,
    count(g.gain_e_per_adu) as n_channels,
    avg(g.gain_e_per_adu) as gain_mean_e_per_adu,
    stddev_samp(g.gain_e_per_adu) as gain_std_e_per_adu,
    avg(g.gain_e_per_adu / a.gain_e_per_adu) as ratio_mean,
    stddev_samp(g.gain_e_per_adu / a.gain_e_per_adu) as ratio_std
from gain g
join flying f using (block, ccd, quadrant)
left join adopted_gain a using (block, ccd, quadrant)
where g.is_adopted and g.status in ('ok', 'bound') and (g.test = 'PTC01' or regexp_full_match(g.test, 'PTC02_[0-9]+'))
group by g.test
order by wavelength_nm nulls last, g.test

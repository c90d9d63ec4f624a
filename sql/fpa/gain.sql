-- What is the gain over the focal plane?
-- The adopted gain of each channel in its place, final design. fpa_x and fpa_y count quadrants from the lower left.
select c.slice, c.col, c.quadrant, c.fpa_x, c.fpa_y, c.ccdid, c.block, c.ccd,
    g.gain_e_per_adu as value, g.gain_e_per_adu_err as value_err, 'e/ADU' as unit, g.test
from channels c
left join adopted_gain g using (block, ccd, quadrant)
where c.design = 'final' and c.ccdid is not null
order by c.slice, c.col, c.quadrant

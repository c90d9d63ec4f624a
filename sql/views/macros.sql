-- Where is a canonical pixel in the other frames? Canonical: 0-based, read-out node at (0, 0), prescan included. CCD frame:
-- 0-based, as stored; width and height are those of the frame (NAXIS1, NAXIS2). ds9: the CCD frame counted from 1.
create or replace macro main.ccd_x(quadrant, x, width) as
    case when quadrant in ('E', 'H') then x when quadrant in ('F', 'G') then width - 1 - x end;

create or replace macro main.ccd_y(quadrant, y, height) as
    case when quadrant in ('G', 'H') then y when quadrant in ('E', 'F') then height - 1 - y end;

create or replace macro main.ds9_x(quadrant, x, width) as
    case when quadrant in ('E', 'H') then x + 1 when quadrant in ('F', 'G') then width - x end;

create or replace macro main.ds9_y(quadrant, y, height) as
    case when quadrant in ('G', 'H') then y + 1 when quadrant in ('E', 'F') then height - y end;

comment on macro main.ccd_x is 'column in the CCD frame, 0-based, of canonical column x; width of the frame [px]';
comment on macro main.ccd_y is 'row in the CCD frame, 0-based, of canonical row y; height of the frame [px]';
comment on macro main.ds9_x is 'column in ds9, 1-based, of canonical column x; width of the CCD frame [px]';
comment on macro main.ds9_y is 'row in ds9, 1-based, of canonical row y; height of the CCD frame [px]';

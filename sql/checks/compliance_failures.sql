-- Which values are outside their limits, the worst offender first?
-- Excess: distance beyond the limit in units of half the width between the limits; of the limit itself where they are equal or
-- there is one only, and of 1 where that is 0. Missing values come last.
select
    block,
    test,
    ccd,
    quadrant,
    script_column,
    obsid,
    metric,
    value,
    value_err,
    lo,
    hi,
    greatest(value - hi, lo - value) / coalesce(nullif((hi - lo) / 2, 0), nullif(abs(coalesce(hi, lo)), 0), 1) as excess,
    rule
from compliance
where not pass
order by excess desc nulls last, block, test, metric, obsid, ccd, quadrant

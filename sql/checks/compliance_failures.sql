-- Which values are outside their limits, the worst offender first?
-- Excess: distance beyond the limit in units of half the width between the limits (of the limit itself where it has one side
-- only); missing values come last.
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
    greatest(value - hi, lo - value) / nullif(coalesce((hi - lo) / 2, abs(coalesce(hi, lo))), 0) as excess,
    rule
from compliance
where not pass
order by excess desc nulls last, block, test, metric, obsid, ccd, quadrant

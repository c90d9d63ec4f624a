-- Which checks fail, how often, and where worst?
-- One row per test and limit with failures. Excess: distance beyond the limit in units of half the width between the limits
-- (of the limit itself where it has one side only); a value that is missing fails with no excess.
with checked as (
    select
        *,
        greatest(value - hi, lo - value) / nullif(coalesce((hi - lo) / 2, abs(coalesce(hi, lo))), 0) as excess
    from compliance
)
select
    test,
    rule,
    metric,
    count(*) as n_checked,
    count(*) filter (where not pass) as n_failed,
    count(distinct block) filter (where not pass) as n_blocks_failed,
    count(*) filter (where value is null) as n_missing,
    max(excess) filter (where not pass) as worst_excess,
    arg_max(block, excess) filter (where not pass) as worst_block,
    arg_max(concat_ws(' ', ccd, quadrant, script_column, obsid), excess) filter (where not pass) as worst_where,
    arg_max(value, excess) filter (where not pass) as worst_value,
    arg_max(lo, excess) filter (where not pass) as worst_lo,
    arg_max(hi, excess) filter (where not pass) as worst_hi
from checked
group by test, rule, metric
having n_failed > 0
order by worst_excess desc nulls last, test, rule, metric

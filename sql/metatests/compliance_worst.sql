-- Which checks fail, how often, and where worst?
-- One row per test and limit with failures. Excess: distance beyond the limit in units of half the width between the limits; of
-- the limit itself where they are equal or there is one only, and of 1 where that is 0. A missing value fails with no excess.
with counted as (
    select test, rule, metric, count(*) as n_checked, count(*) filter (where not pass) as n_failed, count(*) - count(value) as n_missing
    from compliance
    group by all
),
failures as (
    select
        *,
        greatest(value - hi, lo - value) / coalesce(nullif((hi - lo) / 2, 0), nullif(abs(coalesce(hi, lo)), 0), 1) as excess
    from compliance
    where not pass
),
worst as (
    select
        test,
        rule,
        metric,
        count(distinct block) over (partition by test, rule, metric) as n_blocks_failed,
        excess as worst_excess,
        block as worst_block,
        concat_ws(' ', ccd, quadrant, script_column, obsid) as worst_where,
        value as worst_value,
        lo as worst_lo,
        hi as worst_hi
    from failures
    qualify row_number() over (
        partition by test, rule, metric order by excess desc nulls last, block, obsid, ccd, quadrant, script_column
    ) = 1
)
select
    c.test, c.rule, c.metric, c.n_checked, c.n_failed, c.n_missing, w.n_blocks_failed,
    w.worst_excess, w.worst_block, w.worst_where, w.worst_value, w.worst_lo, w.worst_hi
from counted c
join worst w using (test, rule, metric)
order by w.worst_excess desc nulls last, c.test, c.rule, c.metric

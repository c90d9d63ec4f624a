-- Is every row of every exposure log in exposures or in rejects, and in one of them only?
-- One row per block, day and log. A row that is in neither was blank, or was lost.
with log_rows as (
    select block, day, root, log_path, log_row, 1 as n_exposures, 0 as n_rejects from exposures
    union all
    select block, day, root, path, row, 0, 1 from rejects where kind = 'log_row' and row is not null
),
counted as (
    select block, day, root, log_path, log_row, sum(n_exposures) as n_exposures, sum(n_rejects) as n_rejects
    from log_rows
    group by all
)
select
    block,
    day,
    root,
    log_path,
    sum(n_exposures)::bigint as n_exposures,
    sum(n_rejects)::bigint as n_rejected,
    max(log_row) as last_row,
    max(log_row) - 1 - count(*) as n_in_neither,
    count(*) filter (where n_exposures + n_rejects > 1) as n_in_both,
    n_in_both = 0 as is_reconciled
from counted
group by block, day, root, log_path
order by is_reconciled, block, day, root, log_path

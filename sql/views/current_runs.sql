-- Which run counts for each acquisition, and which of them for its block and test?
--
-- Good is a run with status ok or flagged. A good run counts without anybody's decision if it is no trial and covers its
-- whole acquisition as it is today; the newest such run counts for the acquisition. For the block and test counts that of
-- the adopted acquisition. The latest decision `adopt` of a block and test names a run, which then counts, or an acquisition.
with decisions as (
    select
        coalesce(o.block, r.block, a.block) as block,
        coalesce(o.test, r.test, a.test) as test,
        r.run_id,
        coalesce(r.acquisition, a.acquisition) as acquisition
    from main.overrides o
    left join history.runs r on r.run_id = o.run_id and r.status in ('ok', 'flagged')
    left join main.acquisitions a on a.acquisition = o.acquisition
    where o.kind = 'adopt'
        and case when o.run_id is not null then r.run_id is not null else a.acquisition is not null end
    qualify row_number() over (
        partition by coalesce(o.block, r.block, a.block), coalesce(o.test, r.test, a.test)
        order by o.made_at desc, o.run_id desc nulls last, o.acquisition desc
    ) = 1
),
candidates as (
    select
        r.run_id,
        r.block,
        r.test,
        r.acquisition,
        r.started_at,
        d.run_id as decided_run_id,
        coalesce(r.run_id = d.run_id, false) as is_decided,
        coalesce(not r.is_trial and r.obsid_first = a.obsid_first and r.obsid_last = a.obsid_last, false) as is_regular,
        -- a test without frames of its own follows the decisions about the test that has them
        coalesce(
            case when d.run_id is null then r.acquisition = d.acquisition end,
            r.acquisition = source.acquisition,
            a.is_adopted,
            false
        ) as is_adopted
    from history.runs r
    left join main.acquisitions a on a.acquisition = r.acquisition
    left join decisions d on d.block = r.block and d.test = r.test
    left join decisions source on source.block = a.block and source.test = a.test and source.run_id is null
    where r.status in ('ok', 'flagged')
),
ranked as (
    select
        *,
        is_decided or (decided_run_id is null and is_adopted) as counts,
        row_number() over (
            partition by block, test, acquisition order by is_decided desc, started_at desc, run_id desc
        ) as age
    from candidates
    where is_regular or is_decided
)
select
    block,
    test,
    acquisition,
    run_id,
    counts and row_number() over (
        partition by block, test order by counts desc, is_decided desc, started_at desc, run_id desc
    ) = 1 as is_current,
    true as is_current_of_acquisition
from ranked
where age = 1
order by block, test, acquisition

-- What has been acquired, and what has been analysed?
-- One row per acquisition, with the run that counts for it, if any.
select
    a.block,
    a.test,
    a.repeat,
    a.acquisition,
    a.session,
    a.chamber,
    a.started_at,
    a.obsid_first,
    a.obsid_last,
    a.n_found,
    a.n_expected,
    a.status,
    a.is_adopted,
    r.run_id,
    r.status as run_status,
    r.is_current,
    r.flags
from acquisitions a
left join runs r on r.acquisition = a.acquisition and r.test = a.test and r.is_current_of_acquisition
order by a.block, a.obsid_first, a.test

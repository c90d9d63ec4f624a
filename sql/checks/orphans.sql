-- Is there anything that hangs in the air: a row that points to something the lake does not have?
-- One row per kind of orphan; n should be 0 everywhere.
select 'quadrant_stats without exposure' as what, count(*) as n, any_value(s.block || ' ' || s.obsid || ' ' || s.ccd) as example
from quadrant_stats s
anti join exposures e on e.block = s.block and e.obsid = s.obsid and e.ccd = s.ccd
union all
select 'exposure without quadrant_stats', count(*), any_value(e.block || ' ' || e.obsid || ' ' || e.ccd)
from exposures e
anti join quadrant_stats s on s.block = e.block and s.obsid = e.obsid and s.ccd = e.ccd
union all
select 'hk_summary without exposure', count(*), any_value(h.block || ' ' || h.obsid)
from hk_summary h
anti join exposures e on e.block = h.block and e.obsid = h.obsid
union all
select 'acquisition without exposures', count(*), any_value(a.acquisition)
from acquisitions a
anti join exposures e on e.block = a.block and e.obsid = a.obsid_first
union all
select 'run of an acquisition that is not there', count(*), any_value(r.run_id)
from runs r
anti join acquisitions a on a.acquisition = r.acquisition
union all
select 'run input made by a run that is not there', count(*), any_value(i.run_id || ' ' || i.kind)
from run_inputs i
anti join runs r on r.run_id = i.source_run_id
where i.source_run_id is not null
union all
select 'run input of a run that is not there', count(*), any_value(i.run_id || ' ' || i.kind)
from run_inputs i
anti join runs r on r.run_id = i.run_id
union all
select 'result of a run that is not there', count(*), any_value(c.run_id)
from history.compliance c
anti join runs r on r.run_id = c.run_id
union all
select 'decision about a run that is not there', count(*), any_value(o.run_id)
from overrides o
anti join runs r on r.run_id = o.run_id
where o.run_id is not null
order by n desc, what

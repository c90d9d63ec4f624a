-- How steady are read-out noise and offset of a sensor over BIAS02 acquisitions more than ten days apart?
-- A sensor is known by the serial number in its log, whatever block it was in; without one, by block and CCD. Beside the scatter
-- between acquisitions stands the one that the errors of the single values explain.
with acquired as (
    select
        a.acquisition,
        a.started_at,
        e.ccd,
        coalesce(
            nullif(
                regexp_extract(
                    case e.ccd when 'CCD1' then e.sn_ccd1 when 'CCD2' then e.sn_ccd2 when 'CCD3' then e.sn_ccd3 end,
                    '\d{5}-\d{2}-\d{2}'
                ),
                ''
            ),
            a.block || ' ' || e.ccd
        ) as sensor
    from acquisitions a
    join exposures e on e.block = a.block and e.obsid = a.obsid_first
    where a.test = 'BIAS02'
),
measured as (
    select q.sensor, n.quadrant, n.region, q.started_at, n.ron_adu, n.ron_adu_err, o.offset_adu, o.offset_adu_err
    from every.readout_noise n
    join acquired q on q.acquisition = n.acquisition and q.ccd = n.ccd
    left join every.offsets o
        on o.run_id = n.run_id and o.ccd = n.ccd and o.quadrant = n.quadrant and o.region = n.region
    where n.test = 'BIAS02' and n.ron_adu is not null
)
select
    sensor,
    quadrant,
    region,
    count(*) as n_acquisitions,
    date_diff('day', min(started_at), max(started_at)) as span_days,
    avg(ron_adu) as ron_mean_adu,
    stddev_samp(ron_adu) as ron_std_adu,
    sqrt(avg(ron_adu_err ** 2)) as ron_std_explained_adu,
    avg(offset_adu) as offset_mean_adu,
    stddev_samp(offset_adu) as offset_std_adu,
    sqrt(avg(offset_adu_err ** 2)) as offset_std_explained_adu
from measured
group by sensor, quadrant, region
having max(started_at) - min(started_at) > interval 10 days
order by sensor, quadrant, region

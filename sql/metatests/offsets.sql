-- What is the electronic offset of each block, region by region, how far from its table, how steady, and how far apart are its channels?
-- Rms is the scatter of the offset between frames. The worst drift is that of the channel in which it is largest in its own errors.
select
    o.test,
    o.block,
    o.region,
    count(o.offset_adu) as n_channels,
    avg(o.offset_adu) as offset_mean_adu,
    min(o.offset_adu) as offset_min_adu,
    max(o.offset_adu) as offset_max_adu,
    arg_min(o.ccd || o.quadrant, o.offset_adu) as channel_min,
    arg_max(o.ccd || o.quadrant, o.offset_adu) as channel_max,
    arg_max(o.offset_adu - c.expected_offset_adu, abs(o.offset_adu - c.expected_offset_adu)) as from_table_worst_adu,
    max(o.rms_adu) as rms_max_adu,
    arg_max(o.drift_adu_per_h, abs(o.drift_adu_per_h / o.drift_adu_per_h_err)) as drift_worst_adu_per_h,
    arg_max(o.drift_adu_per_h_err, abs(o.drift_adu_per_h / o.drift_adu_per_h_err)) as drift_worst_err_adu_per_h
from offsets o
left join channels c on c.design = 'final' and c.block = o.block and c.ccd = o.ccd and c.quadrant = o.quadrant
group by o.test, o.block, o.region
order by o.test, o.block, o.region

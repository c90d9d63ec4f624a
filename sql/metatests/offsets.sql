-- What is the electronic offset of each block, region by region, how steady is it, and how far apart are its channels?
select
    test,
    block,
    region,
    count(offset_adu) as n_channels,
    avg(offset_adu) as offset_mean_adu,
    min(offset_adu) as offset_min_adu,
    max(offset_adu) as offset_max_adu,
    arg_min(ccd || quadrant, offset_adu) as channel_min,
    arg_max(ccd || quadrant, offset_adu) as channel_max,
    max(rms_adu) as rms_max_adu,
    arg_max(drift_adu_per_h, abs(drift_adu_per_h)) as drift_worst_adu_per_h
from offsets
group by test, block, region
order by test, block, region

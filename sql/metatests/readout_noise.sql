-- What is the read-out noise of each block, region by region, and how many channels are above the requirement in electrons?
-- Channels without a gain have no noise in electrons and are not above. The requirement is about the serial overscan.
select
    n.test,
    n.block,
    n.region,
    count(n.ron_adu) as n_channels,
    median(n.ron_adu) as ron_median_adu,
    median(n.ron_adu_err) as ron_err_median_adu,
    min(n.ron_adu) as ron_min_adu,
    max(n.ron_adu) as ron_max_adu,
    median(n.ron_white_adu) as ron_white_median_adu,
    median(n.row_noise_adu) as row_noise_median_adu,
    count(n.ron_e) as n_with_gain,
    median(n.ron_e) as ron_median_e,
    max(n.ron_e) as ron_max_e,
    arg_max(n.ccd || n.quadrant, n.ron_e) as channel_max_e,
    count(*) filter (where n.ron_e > q.hi) as n_above
from readout_noise n
left join requirements q on q.requirement = 'read_noise_e'
group by n.test, n.block, n.region
order by n.test, n.block, n.region

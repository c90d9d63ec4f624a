-- What is the read-out noise of each block, region by region, and how many channels are above 4.5 e?
-- Channels without a gain have no noise in electrons and count as neither.
select
    test,
    block,
    region,
    count(*) as n_channels,
    median(ron_adu) as ron_median_adu,
    min(ron_adu) as ron_min_adu,
    max(ron_adu) as ron_max_adu,
    median(ron_white_adu) as ron_white_median_adu,
    median(row_noise_adu) as row_noise_median_adu,
    median(ron_e) as ron_median_e,
    max(ron_e) as ron_max_e,
    count(ron_e) as n_with_gain,
    count(*) filter (where ron_e > 4.5) as n_above
from readout_noise
group by test, block, region
order by test, block, region

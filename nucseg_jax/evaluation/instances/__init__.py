"""Scores of nuclei as instances, on the host: numpy and scipy alone.

    maps of an image  --instance_map, void, overlap-->  pairs that share a pixel
                      --panoptic, aggregated_jaccard, detection-->  whole numbers (`image_counts`)
    all images        --instance_counts-->  merged by index  --instance_metrics, instance_scores-->  results.json
                      --per_image_instances-->  per_image_instances_{split}.csv, and back
                      --instance_bootstrap-->  bPQ of resamples, for intervals

`given_predictions` reads what another program predicted, `per_nucleus` lists nuclei one by one, and `pannuke_channels`
scores stacks of channels as PanNuke's evaluation code does.
"""

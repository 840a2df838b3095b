"""One module per implementation; `benchmarks.rows` lists them.

A row is made from a `benchmarks.job.Job` and offers, for B indices into N images:

    prepare(images, labels)  takes uint8 [N, 28, 28] and uint8 [N]; never timed
    train_batch(indices)     encode, forward, backward, clip, optimizer step; returns
                             the mean loss
    infer_batch(indices)     encode and forward; returns the predicted digits, int64 [B]
    inference_batch_size     the batch size that suits the row in inference

A row whose cost per batch varies also offers `train_epoch(order)` and
`infer_all(indices)`, for all images in that order; it is timed over whole epochs.
"""

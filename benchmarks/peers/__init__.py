"""One module an implementation; `benchmarks.rows` names them.

A row is made from a `benchmarks.job.Job` and offers, for B indices of N images:

    prepare(images, labels)  takes uint8 [N, 28, 28] and uint8 [N]; not part of any
    timing
    train_batch(indices)     encode, forward, backward, clip, optimizer step; the mean
                             loss
    infer_batch(indices)     encode and forward; the predicted digits, int64 [B]
    inference_batch_size     the size of a batch that suits the row in inference

A row whose cost per batch is not constant also offers `train_epoch(order)` and
`infer_all(indices)`, for all images in that order; whole epochs are then measured.
"""

"""Every field there is: default, unit, source. The other configs are differences from this one.

"paper" is Koishiyeva et al. (2024); its gaps are filled as the comments say. Override any field on the
command line: --config=configs/unet_resnet50.py --config.train.lr=3e-4
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """The defaults: the paper's protocol wherever it states one."""
    config = ml_collections.ConfigDict()

    data = config.data = ml_collections.ConfigDict()
    # PanNuke: download (its three archives), release (a folder that has them, zipped or unpacked), synthetic
    # (painted patches in the same layout, for trying things out). Your own images and labels: folder. As
    # published: consep, monuseg.
    data.source = "download"
    # Folder of the images, for every source but download and synthetic.
    data.release_dir = ""
    # Where the prepared data set lies (a TFDS data_dir).
    data.dir = "data_dir"
    # Size and seed of the painted data set; only looked at when source = synthetic.
    data.synthetic_patches_per_fold = 40
    data.synthetic_seed = 0
    # Lets `prepare` take a release with the same image in two folds, and `train` a split with nearly the same
    # patch on two sides; both are refused otherwise.
    data.allow_duplicates = False
    # Side of the patches that images are cut into, and their scale, which is the model's; PanNuke's are 256 at 0.25.
    data.patch_px = 256
    data.microns_per_px = 0.25
    # Scale of the images, where neither they nor dataset.yaml state it; 0 = they do.
    data.image_microns_per_px = 0.0
    # The edge of an image that fills no patch: reflect (a patch filled up with its reflection) or drop.
    data.remainder = "reflect"

    split = config.split = ml_collections.ConfigDict()
    # official: the authors' own division; PanNuke's is by whole folds. paper: 64/16/20 % of all patches at random,
    # so slides are on both sides. k_fold: whole groups (patients, slides, tissues) dealt into folds. table: as a CSV
    # file has it.
    split.protocol = "official"
    # From 1. PanNuke: 1 trains on fold 1, validates on 2, tests on 3; 2 swaps the first two, 3 the outer two. k_fold
    # and tables of folds: the test fold; the next one validates, the rest trains.
    split.number = 1
    # Seed of the shuffle (paper), of the folds (k_fold), of the validation groups where a division names none.
    split.seed = 0
    # paper: how many patches to keep (0 = all; the paper has 6,716).
    split.max_patches = 0
    # k_fold: how many folds; 0 = each group is one, in the order of names (leave one group out).
    split.folds = 5
    # table: a CSV file with the columns `image` and `column`: train, validation and test, or names of folds.
    split.table = ""
    split.column = "fold"
    # table, official: lets patches of one group train and test, which is refused otherwise.
    split.allow_shared_groups = False

    model = config.model = ml_collections.ConfigDict()
    # resnet50, resnet101, resnet152 (Keras's), resnet50_v1_5 (torchvision's), efficientnet_b0 to efficientnet_b7.
    model.encoder = "resnet50"
    # unet, deeplabv3plus: the paper's, on an encoder cut at stride 16. unet_five_levels, deeplabv3plus_dilated:
    # the usual ones, on a whole encoder.
    model.decoder = "deeplabv3plus"
    # Of the encoder: 16 for the paper's decoders, 32 for unet_five_levels, 16 or 8 for deeplabv3plus_dilated.
    model.output_stride = 16
    # 1 = nucleus or not (the paper); else background and each class of the data set, 6 for PanNuke's five.
    model.num_classes = 1
    # Table 1's rate; decoders take it or a share of it at each place where the paper has dropout.
    model.dropout = 0.7
    # Rate at which EfficientNets drop a whole residual branch, rising to this at the last block; Keras's value.
    model.drop_connect = 0.2
    # Factor on all channel numbers; 1 = the paper's model.
    model.width = 1.0
    # Blocks of each stage that is built whole; () = the published ones, (3, 4, 6) for the cut ResNet-50.
    model.encoder_depths = ()
    # Of the moving statistics; Keras's default.
    model.batch_norm_momentum = 0.99
    # Moving variances follow n / (n - 1) times the batch's, n values a channel, as in PyTorch and in the fused
    # kernel of TensorFlow 2.15, which the paper ran on; False = as in Keras 3.
    model.batch_norm_unbiased_variance = False

    pretrained = config.pretrained = ml_collections.ConfigDict()
    # Orbax checkpoint of encoder weights; '' = from scratch. The paper starts from ImageNet.
    pretrained.path = ""
    # Folder of a trained run: the whole model starts from its best checkpoint, but for a classifier of other classes.
    # Not with pretrained.path.
    pretrained.run = ""

    transfer = config.transfer = ml_collections.ConfigDict()
    # The last encoder stage that training leaves alone, with all before it: conv1 to conv5 in ResNets; stem, block1
    # to block7, top in EfficientNets; 'all'. '' = everything is trained, as in the paper.
    transfer.freeze_through = ""
    # Frozen stages also keep their moving statistics and normalise with them in training, as in Keras; False =
    # only their parameters are frozen.
    transfer.freeze_batch_norm = True
    # Factor on the learning rate of the encoder.
    transfer.encoder_lr_factor = 1.0

    loss = config.loss = ml_collections.ConfigDict()
    # Adds l2 * sum(w^2) to the loss, as Keras's l2(); Table 1.
    loss.l2 = 0.02
    # added: kernels of the new layers, head included. all: of the encoder too.
    loss.l2_scope = "added"
    # Weights of the terms that are summed (ops/losses.py), 0 = without it: eq. 4's soft Dice, the paper's loss; soft
    # Dice without squares; cross-entropy (BCE for one class); focal; Tversky.
    loss.dice = 1.0
    loss.plain_dice = 0.0
    loss.cross_entropy = 0.0
    loss.focal = 0.0
    loss.tversky = 0.0
    # Ratios of Dice and Tversky for each image, or once for the whole batch.
    loss.reduce = "image"
    # Keeps those ratios defined on empty patches. At 1e-6 a tile without a nucleus costs about 1 unless nothing is
    # predicted there, so the mean does not fall below their share; `dice_loss_with_nuclei` is reported beside it.
    loss.smooth = 1e-6
    # Leaves tiles without a nucleus out of the mean of Dice and Tversky (reduce = image); eq. 4 counts them.
    loss.skip_empty = False
    # Lin et al. 2017 (arXiv:1708.02002): exponent, and weight of the foreground (the background's is 1 - alpha).
    loss.focal_gamma = 2.0
    loss.focal_alpha = 0.25
    # Salehi et al. 2017 (arXiv:1706.05721): weights of false positives and of false negatives.
    loss.tversky_alpha = 0.3
    loss.tversky_beta = 0.7

    train = config.train = ml_collections.ConfigDict()
    # Paper, section 3: 120 epochs, batch 8, Adam at 1e-4.
    train.epochs = 120
    train.batch_size = 8
    train.lr = 1e-4
    # Side of the square tiles that patches are cut into: a multiple of 32 that divides a patch; 256 = PanNuke's whole
    # patches.
    train.tile_px = 256
    # Of initial weights, order, augmentation and dropout.
    train.seed = 0
    # Dtype of computation: float32 or bfloat16. Parameters, statistics, loss and logits stay float32.
    train.dtype = "float32"
    # Keras's Adam.
    train.adam_b1 = 0.9
    train.adam_b2 = 0.999
    train.adam_epsilon = 1e-7
    # "Adjusted dynamically" in the paper; read as Keras's ReduceLROnPlateau on validation loss with Keras's
    # defaults, but for the floor. (The best checkpoint is another matter: highest micro Dice in validation.)
    train.plateau_factor = 0.1
    train.plateau_patience_epochs = 10
    train.plateau_min_delta = 1e-4
    train.plateau_min_scale = 1e-3
    # Steps between two lines of metrics.jsonl.
    train.log_every_steps = 20
    # Steps between two checkpoints within an epoch; 0 = only at the end of each epoch.
    train.checkpoint_every_steps = 0
    # Bit-identical repeats on GPU too, at some cost in speed. CPU runs are so without it.
    train.deterministic = False
    # Where training patches wait. device: uint8 in the devices' memory, cut inside the step. host: read from disk
    # as they are needed, for sets larger than memory. auto: device where they fit a quarter of a device's memory,
    # and all patches half of the host's.
    train.feed = "auto"
    # device: replicated (all patches on every device) or sharded (a share of them on each).
    train.store = "replicated"
    # Steps the device runs by itself, in one compiled loop; 0 = 1 on CPU, where XLA's convolutions are slower in a
    # loop, and 8 elsewhere.
    train.steps_per_dispatch = 0

    augment = config.augment = ml_collections.ConfigDict()
    # Of training tiles, inside the step, drawn for each tile in each epoch. The paper names none. Label and image
    # move together; all that follows the first two changes the image alone, and is off at 0.
    # Left-right and up-down, each for half of the tiles; a quarter turn for half of them.
    augment.flips = True
    augment.quarter_turns = True
    # Factors are drawn evenly from 1 -+ these, 0..1 (the ranges of torchvision's ColorJitter; .2 is usual).
    augment.brightness = 0.0
    augment.contrast = 0.0
    augment.saturation = 0.0
    # Drawn from -+ this, 0..0.5 of the colour circle.
    augment.hue = 0.0
    # Amounts of haematoxylin, eosin and DAB: each times a factor from 1 -+ stain_factor, plus -+ stain_offset in
    # units of optical density (Tellez et al. 2018; factors of .05 are light, .2 strong in Tellez et al. 2019).
    # White stays white.
    augment.stain_factor = 0.0
    augment.stain_offset = 0.0
    # Standard deviation of a Gaussian blur, drawn from 0 to this many px, at most 5.
    augment.blur_sigma_px = 0.0
    # Standard deviation of Gaussian noise, drawn from 0 to this many grey levels of 255.
    augment.noise_sd = 0.0

    evaluation = config.eval = ml_collections.ConfigDict()
    # Whole patches a batch; no score depends on it.
    evaluation.batch_size = 8
    # Batch norm's statistics estimated anew on the training tiles before every evaluation; the paper uses the
    # moving ones, which lag behind the weights while strong L2 still shrinks them.
    evaluation.reestimate_batch_norm = False
    # Also score with the statistics of the batch at hand, which is what the model trains with, and with moving or
    # re-estimated ones, whichever the line above did not choose. never; end: when training ends, and in `evaluate`;
    # epochs: with those of the batch at hand in every validation too.
    evaluation.compare_statistics = "never"
    # Patches of each split whose predictions are drawn, spread evenly; half as many best and worst ones are kept
    # for the report too.
    evaluation.overlays = 6
    # Measure seconds an image at batch 1 and 8 when training ends (Table 5).
    evaluation.time_inference = True

    mesh = config.mesh = ml_collections.ConfigDict()
    # data x fsdp x space devices (training/mesh.py). The batch is split over data x fsdp; data = 0: as many devices as
    # there are and as divide the batches.
    mesh.data = 0
    # Parameters, optimizer state and batch statistics are split over these, and gathered for each forward pass.
    mesh.fsdp = 1
    # Image rows are split over these.
    mesh.space = 1
    return config

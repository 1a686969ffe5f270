"""The official ImageNet files of every encoder: where they lie and what they must hash to.

Source: `BASE_WEIGHTS_PATH` and `WEIGHTS_HASHES` of keras.applications (resnet, efficientnet; the files without
the classifier, `notop`, MD5), and `ResNet50_Weights.IMAGENET1K_V2` and `ConvNeXt_..._Weights.IMAGENET1K_V1` of
torchvision (with the classifier; the first eight digits of the SHA-256 stand in the name).

Licence: Keras (Apache-2.0) ported its ResNets from the weights of Kaiming He (MIT), its EfficientNets from the
checkpoints of their authors in tensorflow/tpu (Apache-2.0). torchvision (BSD-3-Clause) states that terms of the data
may bind its weights. All were trained on ImageNet-1k, whose terms speak of non-commercial research and education;
whether that reaches the weights is for the user to judge.
"""

from collections.abc import Mapping

from nucseg_jax.core.download import RemoteFile

_KERAS_RESNET = "https://storage.googleapis.com/tensorflow/keras-applications/resnet"
_KERAS_EFFICIENTNET = "https://storage.googleapis.com/keras-applications"
_TORCHVISION = "https://download.pytorch.org/models"


def _torchvision(name: str, digits: str) -> RemoteFile:
    return _row(_TORCHVISION, f"{name}-{digits}.pth", "sha256", digits)


def _row(folder_url: str, name: str, algorithm: str, digest: str) -> RemoteFile:
    return RemoteFile(name, f"{folder_url}/{name}", algorithm, digest)


# Keys are those of `models.build.ENCODERS`.
OFFICIAL_FILES: Mapping[str, RemoteFile] = {
    "resnet50": _row(
        _KERAS_RESNET,
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "resnet101": _row(
        _KERAS_RESNET,
        "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5",
        "88cf7a10940856eca736dc7b7e228a21",
    ),
    "resnet152": _row(
        _KERAS_RESNET,
        "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5",
        "ee4c566cf9a93f14d82f913c2dc6dd0c",
    ),
    "resnet50_v1_5": _torchvision("resnet50", "11ad3fa6"),
    "efficientnet_b0": _row(
        _KERAS_EFFICIENTNET, "efficientnetb0_notop.h5", "md5", "50bc09e76180e00e4465e1a485ddc09d"
    ),
    "efficientnet_b1": _row(
        _KERAS_EFFICIENTNET, "efficientnetb1_notop.h5", "md5", "74c4e6b3e1f6a1eea24c589628592432"
    ),
    "efficientnet_b2": _row(
        _KERAS_EFFICIENTNET, "efficientnetb2_notop.h5", "md5", "111f8e2ac8aa800a7a99e3239f7bfb39"
    ),
    "efficientnet_b3": _row(
        _KERAS_EFFICIENTNET, "efficientnetb3_notop.h5", "md5", "af6d107764bb5b1abb91932881670226"
    ),
    "efficientnet_b4": _row(
        _KERAS_EFFICIENTNET, "efficientnetb4_notop.h5", "md5", "ebc24e6d6c33eaebbd558eafbeedf1ba"
    ),
    "efficientnet_b5": _row(
        _KERAS_EFFICIENTNET, "efficientnetb5_notop.h5", "md5", "38879255a25d3c92d5e44e04ae6cec6f"
    ),
    "efficientnet_b6": _row(
        _KERAS_EFFICIENTNET, "efficientnetb6_notop.h5", "md5", "9ecce42647a20130c1f39a5d4cb75743"
    ),
    "efficientnet_b7": _row(
        _KERAS_EFFICIENTNET, "efficientnetb7_notop.h5", "md5", "cbcfe4450ddf6f3ad90b1b398090fe4a"
    ),
    "convnext_tiny": _torchvision("convnext_tiny", "983f1562"),
    "convnext_small": _torchvision("convnext_small", "0c510722"),
    "convnext_base": _torchvision("convnext_base", "6075fbad"),
}

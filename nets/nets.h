#pragma once

/// \file
/// Architectures in LibTorch, one a file: pictures of tensors in, tensors out. No files, no
/// metrics, no threads of their own. Read in this order:
///   network.h (networks as values), mobilenet_v2.h (the shared encoder), head.h (what gates and
///   experts are), heads.h (the registry: mlp.h, linear.h, bottleneck_tail.h, mbconv_tail.h),
///   serve/servable.h (a trained network as the model layer sees it), serve/frozen.h,
///   serve/eager.h, serve/folded.h and serve/fused_encoder.h (the ways to become one).
/// Other networks: backbones/backbone.h (convolutional ones), sparse/token_layer.h (experts inside
/// a network), vit_moe/vit_moe.h and mofme/modulated_ffn.h; docs/networks.md lists them.
/// Conventions: NCHW, float32; N rows are pictures; submodule names are the tensor names on disk.

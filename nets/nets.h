#pragma once

/// \file
/// Architectures in LibTorch, one a file: pictures of tensors in, tensors out. No files, no
/// metrics, no threads of their own. Read in this order:
///   mobilenet_v2.h (the shared encoder), head.h (what gates and experts are), heads.h (the
///   registry: mlp.h, linear.h, bottleneck_tail.h, mbconv_tail.h), frozen.h (a trained module as
///   an optimised graph for serving), folded.h and fused_encoder.h (the encoder for serving).
/// Conventions: NCHW, float32; N rows are pictures; submodule names are the tensor names on disk.

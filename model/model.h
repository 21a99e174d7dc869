#pragma once

/// \file
/// What a model is on disk, and how it becomes something callable. Read in this order:
///   safetensors.h (weights in and out), manifest.h (what a version folder says about itself),
///   fingerprint.h, store.h (which version folder), encoder.h, gates.h, expert_head.h (callable
///   parts), loaded_model.h (all of them together), warm_up.h.
/// Conventions: LibTorch stays in .cc files and in internal/; features pass as core::FeatureBatch.
/// Every error names its file.

#pragma once

#include <oneapi/dnnl/dnnl.hpp>

/// \file
/// What oneDNN 2 (Debian 12) and oneDNN 3 (Debian 13) say differently: version 3 has no operation
/// descriptors, no scale of an element-wise step, and other names of accessors. The one place that
/// knows; whoever builds primitives calls these.

namespace orchard::nets::internal {

/// A convolution for inference; padding is the same at both ends of a side.
struct Convolution {
  dnnl::memory::desc source, weights, bias, destination;
  dnnl::memory::dims strides, padding;
};

/// Throws dnnl::error, as all of oneDNN does.
inline dnnl::convolution_forward::primitive_desc DescribeConvolution(
    const dnnl::engine& engine, const Convolution& c, const dnnl::primitive_attr& attributes) {
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine,        kKind,     kAlgorithm, c.source,  c.weights, c.bias,
          c.destination, c.strides, c.padding,  c.padding, attributes};
#else
  const dnnl::convolution_forward::desc desc(kKind, kAlgorithm, c.source, c.weights, c.bias,
                                             c.destination, c.strides, c.padding, c.padding);
  return {desc, attributes, engine};
#endif
}

/// The mean over windows of `kernel`, without padding, one window a step. Throws dnnl::error.
inline dnnl::pooling_forward::primitive_desc DescribeAveragePooling(
    const dnnl::engine& engine, const dnnl::memory::desc& source,
    const dnnl::memory::desc& destination, const dnnl::memory::dims& kernel,
    const dnnl::primitive_attr& attributes) {
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  constexpr auto kAlgorithm = dnnl::algorithm::pooling_avg_exclude_padding;
  const dnnl::memory::dims strides(kernel.size(), 1);
  const dnnl::memory::dims none(kernel.size(), 0);
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kKind, kAlgorithm, source, destination, strides,
          kernel, none,  none,       none,   attributes};
#else
  const dnnl::pooling_forward::desc desc(kKind, kAlgorithm, source, destination, strides, kernel,
                                         none, none);
  return {desc, attributes, engine};
#endif
}

inline void AppendEltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, beta);
#else
  ops.append_eltwise(1.0F, algorithm, alpha, beta);
#endif
}

inline dnnl::memory::dims Dims(const dnnl::memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return desc.get_dims();
#else
  return desc.dims();
#endif
}

}  // namespace orchard::nets::internal

#pragma once

#include "vision/vision.h"

namespace orchard::vision {

/// The picture as it comes out of a baseline JPEG of `quality`, 1 to 100, chroma at half
/// resolution: what a picture looks like that was stored so. Throws std::bad_alloc.
Image Recompress(const Image& image, int quality);

}  // namespace orchard::vision

#include "router/profile.h"

namespace orchard::router {

vision::Profile ProfileOf(const v1::Preprocessing& preprocessing) {
  return {.shorter_side = preprocessing.shorter_side(),
          .crop = preprocessing.crop(),
          .framing = preprocessing.framing() == v1::WHOLE_PICTURE ? vision::Framing::kWholePicture
                                                                  : vision::Framing::kCentreCrop};
}

}  // namespace orchard::router

#include "vision/recompress.h"

#include <csetjmp>
#include <cstdio>  // jpeglib.h takes FILE for granted.
#include <cstdlib>
#include <new>
#include <string_view>

#include <jpeglib.h>

#include "vision/decode.h"

// Source: libjpeg-turbo's libjpeg.txt, "Compression details" and "Error handling".

namespace orchard::vision {
namespace {

/// libjpeg's state, with ours behind it: its callbacks find this object through `client_data`.
struct Compressor {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  std::jmp_buf stop{};
  unsigned char* bytes = nullptr;  // libjpeg's to allocate, ours to free.
  unsigned long size = 0;          // NOLINT(google-runtime-int): libjpeg's type.

  Compressor() = default;
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  ~Compressor() {
    jpeg_destroy_compress(&jpeg);
    std::free(bytes);
  }
};

[[noreturn]] void Stop(j_common_ptr jpeg) {
  std::longjmp(static_cast<Compressor*>(jpeg->client_data)->stop, 1);
}

/// False: stopped. Nothing that has a destructor may live here: longjmp wouldn't run it.
bool Compress(Compressor& state, const Image& image, int quality) {
  jpeg_compress_struct& jpeg = state.jpeg;
  if (setjmp(state.stop) != 0) return false;
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &state.bytes, &state.size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    // libjpeg only reads; its interface doesn't say so.
    JSAMPROW row = const_cast<JSAMPROW>(&image.rgb[size_t{jpeg.next_scanline} * image.width * 3]);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  return true;
}

}  // namespace

Image Recompress(const Image& image, int quality) {
  Compressor state;
  state.jpeg.err = jpeg_std_error(&state.errors);
  state.jpeg.client_data = &state;
  state.errors.error_exit = Stop;
  // What stops it is a lack of memory alone: size, colours and quality are sound.
  if (!Compress(state, image, quality)) throw std::bad_alloc();
  const Limits limits{.max_bytes = state.size, .formats = {Format::kJpeg}};
  auto decoded = Decode({reinterpret_cast<const char*>(state.bytes), state.size}, limits, 0);
  if (!decoded.ok()) throw std::bad_alloc();
  return *std::move(decoded);
}

}  // namespace orchard::vision

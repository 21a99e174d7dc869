#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h takes FILE for granted.
#include <string>

#include <jerror.h>
#include <jpeglib.h>

#include "vision/internal/bytes.h"
#include "vision/internal/pixels.h"

// Source: libjpeg-turbo's libjpeg.txt, "Decompression details" and "Error handling".

namespace orchard::vision::internal {
namespace {

/// libjpeg's state, with ours behind it: its callbacks find this object through `client_data`.
struct Decompressor {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf stop{};
  int max_scans = 0;
  bool too_many_scans = false;

  Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  ~Decompressor() { jpeg_destroy_decompress(&jpeg); }
};

[[noreturn]] void Stop(j_common_ptr jpeg) {
  std::longjmp(static_cast<Decompressor*>(jpeg->client_data)->stop, 1);
}

/// Whether the warning is one that programs and cameras cause with sound pictures.
bool IsHarmless(int warning) {
  switch (warning) {
    case JWRN_NOT_SEQUENTIAL:  // Scan parameters that mean nothing: the front cameras of phones.
    case JWRN_JFIF_MAJOR:      // A JFIF version that doesn't exist.
    case JWRN_ADOBE_XFORM:     // An unknown colour transform is taken for the usual one.
    // Bytes between the data and the next marker, dozens or hundreds, zeros or remains of another
    // picture: webcams, scanners, small cameras. Every pixel is there.
    case JWRN_EXTRANEOUS_DATA:
    // The end marker is missing; so are pixels only if JWRN_HIT_MARKER comes as well.
    case JWRN_JPEG_EOF:
    // OnWrongRestart() passes over what is no marker.
    case JWRN_MUST_RESYNC:
      return true;
    default:
      return false;
  }
}

/// Stops at damaged data, which libjpeg would go on from with grey; never writes on stderr.
void OnMessage(j_common_ptr jpeg, int level) {
  const bool is_warning = level < 0;  // Other messages tell what libjpeg does.
  if (is_warning && !IsHarmless(jpeg->err->msg_code)) Stop(jpeg);
}

/// Called before each row of blocks: a scan that our own walk has not seen was not weighed either.
void OnProgress(j_common_ptr jpeg) {
  Decompressor& state = *static_cast<Decompressor*>(jpeg->client_data);
  if (state.jpeg.input_scan_number <= state.max_scans) return;
  state.too_many_scans = true;
  Stop(jpeg);
}

/// Where a restart marker is due, any will do: some cameras count them wrongly, and a number says
/// nothing about the pixels between them. libjpeg would throw intervals away. When one is lost, the
/// picture ends too early, which is noticed. Another marker stays for the decoder to stumble at.
boolean OnWrongRestart(j_decompress_ptr jpeg, int desired) {
  constexpr int kFirstMarker = 0xC0;  // Below are none: stray bytes that look like one.
  if (jpeg->unread_marker < kFirstMarker) return jpeg_resync_to_restart(jpeg, desired);
  if (jpeg->unread_marker >= JPEG_RST0 && jpeg->unread_marker <= JPEG_RST0 + 7) {
    jpeg->unread_marker = 0;
  }
  return TRUE;
}

// The two functions with setjmp are where a stop lands. Nothing that has a destructor may live in
// them or in what they call: longjmp wouldn't run it.

/// Up to the size that the pixels will have, shrunk by 1, 2, 4 or 8. False: stopped, see Reason().
bool ReadHead(Decompressor& state, std::string_view bytes, unsigned shrink) {
  jpeg_decompress_struct& jpeg = state.jpeg;
  if (setjmp(state.stop) != 0) return false;
  jpeg_create_decompress(&jpeg);
  jpeg.mem->max_memory_to_use = 0;  // Not what the environment says (JPEGMEM).
  jpeg.progress = &state.progress;
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg.src->resync_to_restart = OnWrongRestart;
  jpeg_read_header(&jpeg, TRUE);
  jpeg.scale_num = 1;
  jpeg.scale_denom = shrink;
  jpeg_calc_output_dimensions(&jpeg);
  return true;
}

void ReadRows(jpeg_decompress_struct& jpeg, std::uint8_t* rgb) {
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = rgb + size_t{jpeg.output_scanline} * jpeg.output_width * 3;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
}

/// From Adobe's inverted CMYK, in which 255 is no ink; libjpeg leaves that to its callers.
void ReadCmykRows(jpeg_decompress_struct& jpeg, std::uint8_t* rgb) {
  const JSAMPARRAY row = jpeg.mem->alloc_sarray(reinterpret_cast<j_common_ptr>(&jpeg), JPOOL_IMAGE,
                                                jpeg.output_width * 4, 1);
  while (jpeg.output_scanline < jpeg.output_height) {
    jpeg_read_scanlines(&jpeg, row, 1);
    const JSAMPLE* cmyk = row[0];
    for (JDIMENSION x = 0; x < jpeg.output_width; ++x, cmyk += 4, rgb += 3) {
      for (size_t c = 0; c < 3; ++c) {
        rgb[c] = static_cast<std::uint8_t>((cmyk[c] * cmyk[3] + 127) / 255);
      }
    }
  }
}

/// The rest, into `rgb`, [output_height, output_width, 3]. False: stopped, see Reason().
bool ReadPixels(Decompressor& state, std::uint8_t* rgb) {
  jpeg_decompress_struct& jpeg = state.jpeg;
  if (setjmp(state.stop) != 0) return false;
  const bool cmyk = jpeg.num_components == 4;
  jpeg.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  if (cmyk) {
    ReadCmykRows(jpeg, rgb);
  } else {
    ReadRows(jpeg, rgb);
  }
  // Every pixel is there. jpeg_finish_decompress() would only look for what follows.
  return true;
}

absl::Status Reason(Decompressor& state, const Container& container) {
  if (state.too_many_scans) {
    return Refuse("JPEG: not decodable: libjpeg sees more than ", state.max_scans, " scans");
  }
  if (!container.ended && state.errors.msg_code == JWRN_HIT_MARKER) {
    return Refuse("JPEG: truncated, the file ends inside the pixels");
  }
  char message[JMSG_LENGTH_MAX] = "";
  state.errors.format_message(reinterpret_cast<j_common_ptr>(&state.jpeg), message);
  if (state.errors.msg_code == JERR_OUT_OF_MEMORY) return absl::ResourceExhaustedError(message);
  return Refuse("JPEG: not decodable: ", message);
}

}  // namespace

unsigned JpegShrink(const Header& header, size_t enough) {
  if (enough == 0) return 1;
  const std::uint64_t shorter = std::min(header.width, header.height);
  unsigned shrink = 8;
  while (shrink > 1 && (shorter + shrink - 1) / shrink < enough) shrink /= 2;
  return shrink;
}

absl::StatusOr<cv::Mat> ReadJpegPixels(std::string_view bytes, const Container& container,
                                       size_t enough) {
  const Header& header = container.header;
  Decompressor state;
  state.max_scans = static_cast<int>(container.jpeg.scans);
  state.progress.progress_monitor = OnProgress;
  state.jpeg.err = jpeg_std_error(&state.errors);
  state.jpeg.client_data = &state;
  state.errors.error_exit = Stop;
  state.errors.emit_message = OnMessage;
  const unsigned shrink = JpegShrink(header, enough);
  if (!ReadHead(state, bytes.substr(0, container.jpeg.end), shrink)) {
    return Reason(state, container);
  }
  // The limits were applied to `header`: memory is taken for that size and no other.
  const cv::Size size(static_cast<int>((header.width + shrink - 1) / shrink),
                      static_cast<int>((header.height + shrink - 1) / shrink));
  if (size != cv::Size(static_cast<int>(state.jpeg.output_width),
                       static_cast<int>(state.jpeg.output_height))) {
    return Refuse("JPEG: not decodable: libjpeg reads another size than ", header.width, "x",
                  header.height);
  }
  cv::Mat rgb(size, CV_8UC3);
  if (!ReadPixels(state, rgb.data)) return Reason(state, container);
  return rgb;
}

}  // namespace orchard::vision::internal

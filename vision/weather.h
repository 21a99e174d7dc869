#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>

namespace orchard::vision {

/// What a picture may be seen through.
enum class Weather : std::uint8_t {
  kRain,  ///< streaks that fall steeply, all one way, and a picture that is a little blurred
  kFog,   ///< pales towards one light, more at the top, which is farther away
  kSnow,  ///< soft flakes before a picture that is a little lighter
};
inline constexpr std::array kWeathers = {Weather::kRain, Weather::kFog, Weather::kSnow};

inline constexpr int kMostSeverity = 3;  ///< the least is 1

/// "rain", "fog", "snow".
std::string_view NameOf(Weather weather);

/// `rgb`, [side, side, 3], as it is seen through `weather`, in place. `severity` is from 1 to
/// kMostSeverity:
///
///   severity                                1     2     3
///   fog, k at half height, t = exp(-k)     .6   1.2     2
///   rain, share of pixels with a drop    .5 %   1 %   2 %
///         length of its streak, pixels      5     7     9
///   snow, share of pixels with a flake    1 %   2 %   4 %
///
/// Every random number comes from `random`, so that a seed gives the same picture again. Lengths
/// are pixels of the view whatever its side: they are meant for views of about 32 pixels.
/// Source: models.md section 6.4; fog is Koschmieder's law, v' = v t + A (1 - t).
void Render(Weather weather, int severity, size_t side, std::mt19937_64& random,
            std::span<std::uint8_t> rgb);

/// With `probability`, a weather and a severity of all nine, each as likely as the others; else
/// `rgb` stays as it is.
void RenderAny(double probability, size_t side, std::mt19937_64& random,
               std::span<std::uint8_t> rgb);

}  // namespace orchard::vision

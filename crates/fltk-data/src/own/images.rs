//! Folders of PNG and JPEG images by class, as torchvision's `ImageFolder` has them, in a folder or a zip.
//!
//! ```text
//! CLASS/.../NAME.png      or      train/CLASS/.../NAME.png and test/CLASS/.../NAME.png
//! ```

use std::{
    io::Cursor,
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use fltk_core::catalogue::{Choice, DatasetEntry, Entry, Wholes, Word};
use image::{DynamicImage, ImageFormat, ImageReader, Limits, imageops};

use super::{
    error::OwnError,
    format::{Format, NORMALIZE, TEST_FRACTION},
    parts::{Role, role},
    place::{Place, digests, has_ending},
    samples::{Content, Labels, Names, Part, Read, Samples},
};

/// The largest side of a stored image, in pixels: cameras have less, and a file of a few bytes may claim more.
const SIDE_MAX: u32 = 20_000;
/// The largest memory for decoding one image, in bytes.
const DECODED_MAX: u64 = 1 << 30;
/// The largest side that images are resized to, in pixels.
const SIZE_MAX: u32 = 4096;
/// The largest memory for the pixels of a part: 64 GiB, more than machines for such nets have.
const PIXELS_MAX: usize = 64 << 30;
/// The largest number of threads that decode.
const THREADS_MAX: usize = 16;

const SIZE: Wholes = Wholes::new(
    "size",
    &[],
    2,
    (1, SIZE_MAX),
    "The height and width in pixels to which images are resized, bilinearly and without keeping their proportions; one number for squares. Without it, images of \
     different sizes are refused.",
)
.or_none();
const CHANNELS: Word = Word::new(
    "channels",
    &["as_stored", "grey", "rgb"],
    "`grey` or `rgb` to convert images, as Pillow does; with `as_stored`, all images have to be of one kind. Transparency is dropped.",
);

/// The format `images`.
pub(super) const FORMAT: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            "images",
            "PNG and JPEG images in a folder for each class, in the folders `train` and `test` if there are parts, as torchvision's ImageFolder reads them; a folder or a \
             zip.",
        )
        .parameters(const { &[SIZE.parameter(), CHANNELS.parameter(), TEST_FRACTION.parameter(), NORMALIZE.parameter()] }),
        false,
    ),
    detects: |names| names.iter().any(|name| has_ending(name, READ) && name.contains('/')),
    is_last_resort: false,
    read,
};

/// The endings of images that are read.
const READ: &[&str] = &[".png", ".jpg", ".jpeg"];
/// The endings of images that aren't read, and shouldn't be overlooked.
const UNREAD: &[&str] = &[".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp", ".avif", ".heic"];

/// An image to read, and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Listed<'a> {
    class: &'a str,
    folder: &'a str,
    name: &'a str,
}

fn read(place: &Place, settings: &Choice) -> Result<Read, OwnError> {
    if let Some(name) = place.names().iter().find(|name| has_ending(name, UNREAD)) {
        return Err(place.error_in(name, "images of this kind aren't read").hint("convert it to PNG, or remove it"));
    }
    let images: Vec<&str> = place.names().iter().map(String::as_str).filter(|name| has_ending(name, READ)).collect();
    if images.is_empty() {
        return Err(place.error("it has no images".to_owned()).hint("images lie in a folder for each class: `CLASS/NAME.png`"));
    }
    let how = How::of(settings);
    let (train, test) = divide(place, &images)?;
    let mut files = Vec::new();
    let (train, shape) = part(place, &train, &how, None, &mut files)?;
    let test = match test.is_empty() {
        true => None,
        false => Some(part(place, &test, &how, Some(shape), &mut files)?.0),
    };
    Ok(Read { content: Content::Labeled { train, test, class_names: None }, digests: digests(files) })
}

/// Divides images by part, and says the class of each, in the order of torchvision: by class, then by folder and name.
fn divide<'a>(place: &Place, images: &[&'a str]) -> Result<(Vec<Listed<'a>>, Vec<Listed<'a>>), OwnError> {
    // Folders around everything, such as that of a zip, are neither parts nor classes.
    let mut outer = 0;
    while let Some((first, _)) = images[0][outer..].split_once('/') {
        let inner = outer + first.len() + 1;
        let is_around = |name: &&str| name.get(..inner) == images[0].get(..inner) && name[inner..].contains('/');
        if !images.iter().all(is_around) || role(first).is_some() {
            break;
        }
        outer = inner;
    }
    let top = |name: &'a str| name[outer..].split_once('/').map(|(top, _)| top);
    let has_parts = images.iter().all(|name| top(name).is_some_and(|top| role(top).is_some()))
        && images.iter().any(|name| top(name).and_then(role) == Some(Role::Train));
    let told = images.iter().find(|name| top(name).and_then(role).is_some_and(|role| role != Role::Validation));
    if let Some(name) = told.filter(|_| !has_parts) {
        let folder = top(name).unwrap_or_default();
        return Err(place
            .error_in(name, format!("its folder `{folder}` has the name of a part, and others are neither that nor the training part"))
            .hint("name all parts, such as `train` and `test`, or say with `path` which folder to read; a class of this name needs another one"));
    }
    let has_test = images.iter().any(|name| top(name).and_then(role) == Some(Role::Test));
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for &name in images {
        let mut rest = &name[outer..];
        let mut part = Some(Role::Train);
        if has_parts && let Some((folder, inner)) = rest.split_once('/') {
            (part, rest) = (role(folder), inner);
            // Some have the part twice: `train/train/CLASS`.
            if let Some((_, inner)) = rest.split_once('/').filter(|(again, inner)| role(again) == part && inner.contains('/')) {
                rest = inner;
            }
        }
        let Some((class, _)) = rest.split_once('/') else {
            return Err(place
                .error_in(name, "the image lies in no folder of a class")
                .hint("images lie in a folder for each class: `CLASS/NAME.png`"));
        };
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        match part {
            Some(Role::Train) | None => train.push(Listed { class, folder, name }),
            Some(Role::Test) => test.push(Listed { class, folder, name }),
            Some(Role::Validation) if !has_test => test.push(Listed { class, folder, name }),
            Some(Role::Validation) => {}
        }
    }
    train.sort_unstable();
    test.sort_unstable();
    Ok((train, test))
}

/// The preparation of images.
struct How {
    /// The height and width to which they are resized.
    size: Option<[u32; 2]>,
    channels: &'static str,
}

impl How {
    fn of(settings: &Choice) -> Self {
        let size = match SIZE.of(settings)[..] {
            [] => None,
            [side] => Some([side, side]),
            [height, width, ..] => Some([height, width]),
        };
        Self { size, channels: CHANNELS.of(settings) }
    }
}

/// A decoded image: its shape, its bytes in CHW, and the digest of its file.
struct Decoded {
    shape: [usize; 3],
    pixels: Vec<u8>,
    sha256: String,
}

/// Reads images, which have the shape `expected` if that is known already. Returns their shape too.
fn part(
    place: &Place,
    images: &[Listed<'_>],
    how: &How,
    expected: Option<[usize; 3]>,
    files: &mut Vec<(String, String)>,
) -> Result<(Part, [usize; 3]), OwnError> {
    let first = decode(place, images[0].name, how)?;
    let shape = expected.unwrap_or(first.shape);
    let len: usize = shape.iter().product();
    let num_bytes = len.checked_mul(images.len()).filter(|num| *num <= PIXELS_MAX);
    let num_bytes =
        num_bytes.ok_or_else(|| place.error(format!("{} images of {shape:?} are too large", images.len())).hint("set `size`"))?;
    let mut pixels = vec![0; num_bytes];
    let mut digests = vec![String::new(); images.len()];
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    let per_thread = images.len().div_ceil(threads);
    // The first image that is wrong is reported, whichever thread finds one.
    let wrong = AtomicUsize::new(usize::MAX);
    let read = |first: usize, images: &[Listed<'_>], pixels: &mut [u8], digests: &mut [String]| {
        for (index, ((image, pixels), digest)) in images.iter().zip(pixels.chunks_exact_mut(len)).zip(digests).enumerate() {
            if wrong.load(Ordering::Relaxed) < first {
                return Ok(());
            }
            let decoded =
                decode(place, image.name, how).and_then(|decoded| check_shape(place, image.name, &decoded, shape).map(|()| decoded));
            let decoded = decoded.map_err(|error| {
                wrong.fetch_min(first + index, Ordering::Relaxed);
                (first + index, error)
            })?;
            pixels.copy_from_slice(&decoded.pixels);
            *digest = decoded.sha256;
        }
        Ok(())
    };
    let outcomes: Vec<Result<(), (usize, OwnError)>> = thread::scope(|scope| {
        let work = images.chunks(per_thread).zip(pixels.chunks_mut(per_thread * len)).zip(digests.chunks_mut(per_thread));
        let readers: Vec<_> = work
            .enumerate()
            .map(|(part, ((images, pixels), digests))| {
                let read = &read;
                scope.spawn(move || read(part * per_thread, images, pixels, digests))
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    if let Some((_, error)) = outcomes.into_iter().filter_map(Result::err).min_by_key(|(index, _)| *index) {
        return Err(error);
    }
    files.extend(images.iter().map(|image| image.name.to_owned()).zip(digests));
    let mut names: Vec<String> = images.iter().map(|image| image.class.to_owned()).collect();
    names.dedup();
    let mut class = 0;
    let of = images.iter().map(|image| {
        class += u32::from(names[class as usize] != image.class);
        class
    });
    let labels = Labels::Names(Names { of: of.collect(), names });
    Ok((Part { samples: Samples::Images { pixels, shape }, labels, clients: None }, shape))
}

fn check_shape(place: &Place, name: &str, decoded: &Decoded, expected: [usize; 3]) -> Result<(), OwnError> {
    let ([channels, height, width], [expected_channels, expected_height, expected_width]) = (decoded.shape, expected);
    let kind = |channels: usize| if channels == 1 { "grey" } else { "of three channels" };
    if channels != expected_channels {
        let problem = format!("the image is {}, and others are {}", kind(channels), kind(expected_channels));
        return Err(place.error_in(name, problem).hint("`channels: grey` or `channels: rgb` converts all of them"));
    }
    if decoded.shape != expected {
        let problem = format!("the image has {height}x{width} pixels (height and width), and others {expected_height}x{expected_width}");
        return Err(place.error_in(name, problem).hint(format!("`size: [{expected_height}, {expected_width}]` resizes all of them")));
    }
    Ok(())
}

fn decode(place: &Place, name: &str, how: &How) -> Result<Decoded, OwnError> {
    let file = place.read(name)?;
    let decoded = place.guarded(name, || decode_bytes(&file.bytes, how).map_err(|problem| place.error_in(name, problem)));
    let (shape, pixels) = decoded?;
    Ok(Decoded { shape, pixels, sha256: file.sha256 })
}

/// Decodes an image, and converts and resizes it. Returns its shape, and its bytes in CHW.
fn decode_bytes(bytes: &[u8], how: &How) -> Result<([usize; 3], Vec<u8>), String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Jpeg) => {}
        _ => return Err("it is neither PNG nor JPEG".to_owned()),
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(SIDE_MAX), Some(SIDE_MAX), Some(DECODED_MAX));
    reader.limits(limits);
    let image = reader.decode().map_err(|error| format!("the image can't be decoded: {error}"))?;
    let is_grey = match &image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) => true,
        DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => false,
        _ => return Err("the image has more than 8 bits per channel\nhint: convert it to 8 bits".to_owned()),
    };
    match how.channels {
        "grey" | "as_stored" if is_grey => Ok(planes(&resized(image.to_luma8(), how.size))),
        "grey" => Ok(planes(&resized(luma(&image.to_rgb8()), how.size))),
        _ => Ok(planes(&resized(image.to_rgb8(), how.size))),
    }
}

/// Returns the image in grey, with Pillow's formula: ITU-R 601-2 in 16 bits.
fn luma(image: &image::RgbImage) -> image::GrayImage {
    let grey = |image::Rgb([red, green, blue]): &image::Rgb<u8>| {
        let sum = u32::from(*red) * 19_595 + u32::from(*green) * 38_470 + u32::from(*blue) * 7_471 + 0x8000;
        image::Luma([(sum >> 16) as u8])
    };
    let pixels = image.pixels().flat_map(|pixel| grey(pixel).0).collect();
    // There is one byte for each pixel.
    image::GrayImage::from_raw(image.width(), image.height(), pixels).unwrap_or_default()
}

fn resized<P: image::Pixel<Subpixel = u8> + 'static>(
    image: image::ImageBuffer<P, Vec<u8>>,
    size: Option<[u32; 2]>,
) -> image::ImageBuffer<P, Vec<u8>> {
    match size {
        Some([height, width]) if (height, width) != (image.height(), image.width()) => {
            imageops::resize(&image, width, height, imageops::FilterType::Triangle)
        }
        _ => image,
    }
}

/// Returns the shape, and the bytes channel by channel.
fn planes<P: image::Pixel<Subpixel = u8>>(image: &image::ImageBuffer<P, Vec<u8>>) -> ([usize; 3], Vec<u8>) {
    let (channels, raw) = (usize::from(P::CHANNEL_COUNT), image.as_raw());
    let bytes = (0..channels).flat_map(|channel| raw.iter().skip(channel).step_by(channels).copied()).collect();
    ([channels, image.height() as usize, image.width() as usize], bytes)
}

/// Decodes an image that isn't a file of its own, such as one in a table.
pub(super) struct Decoder(How);

impl Decoder {
    /// The settings of a format that has such images.
    pub const SIZE: Wholes = SIZE;
    /// The other setting.
    pub const CHANNELS: Word = CHANNELS;

    /// Creates the decoder for these settings.
    pub fn new(settings: &Choice) -> Self {
        Self(How::of(settings))
    }

    /// Decodes an image. Returns its shape `[C, H, W]`, and its bytes in CHW.
    ///
    /// # Errors
    /// The problem with its bytes.
    pub fn decode(&self, bytes: &[u8]) -> Result<([usize; 3], Vec<u8>), String> {
        decode_bytes(bytes, &self.0)
    }
}

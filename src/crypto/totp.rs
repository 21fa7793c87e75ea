//! Time-based one-time passwords (RFC 6238): SHA-1, six digits, steps of 30 seconds, which is what every authenticator app
//! understands. The secret has 160 bits (RFC 4226 section 4) and comes from our own entropy.

use image::{DynamicImage, ImageFormat, Luma};
use qrcode::{EcLevel, QrCode, render::svg};
use secrecy::{ExposeSecret as _, SecretString};
use totp_rs::{Builder, Totp};

use crate::domain::{Error, Result, clock::Entropy};

/// Bytes of a secret.
pub const SECRET: usize = 20;

/// What an app has to know of a secret.
pub struct Sheet {
    /// In base32, for typing.
    pub secret: SecretString,
    /// `otpauth://totp/…`, for apps and for the code below.
    pub uri: SecretString,
}

impl Sheet {
    /// The URI as a QR code, one SVG image.
    ///
    /// # Errors
    /// [`Error::Internal`] for a URI that is too long, which names of at most 100 characters can't make.
    pub fn svg(&self) -> Result<String> {
        Ok(self.code()?.render::<svg::Color>().min_dimensions(240, 240).quiet_zone(true).build())
    }

    /// The same as a PNG image.
    ///
    /// # Errors
    /// As [`Sheet::svg`].
    pub fn png(&self) -> Result<Vec<u8>> {
        let picture = self.code()?.render::<Luma<u8>>().min_dimensions(240, 240).quiet_zone(true).build();
        let mut png = std::io::Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(picture).write_to(&mut png, ImageFormat::Png).map_err(Error::internal)?;
        Ok(png.into_inner())
    }

    fn code(&self) -> Result<QrCode> {
        QrCode::with_error_correction_level(self.uri.expose_secret().as_bytes(), EcLevel::M).map_err(Error::internal)
    }
}

/// A fresh secret.
#[must_use]
pub fn mint(entropy: &dyn Entropy) -> [u8; SECRET] {
    let mut secret = [0; SECRET];
    entropy.fill(&mut secret);
    secret
}

/// What to hand to `account`'s app: the app lists it under `issuer`.
///
/// # Errors
/// [`Error::Internal`] for a secret of another length.
pub fn sheet(secret: &[u8], issuer: &str, account: &str) -> Result<Sheet> {
    // A colon would end the issuer's part of the label.
    let plain = |text: &str| text.chars().map(|c| if c == ':' { ' ' } else { c }).take(100).collect::<String>();
    let totp = totp(secret, Some(plain(issuer)), plain(account))?;
    let uri = totp.to_url().map_err(|fault| Error::internal(format!("an otpauth URI: {fault}")))?;
    Ok(Sheet { secret: totp.secret().to_base32().to_string().into(), uri: uri.to_string().into() })
}

/// The step that `code` is of, if it is the one of `seconds` (since the epoch) or of one step before or after (RFC 6238
/// section 5.2). Whether it was used already is for the caller to settle.
///
/// # Errors
/// [`Error::Internal`] for a secret of another length.
pub fn step_of(secret: &[u8], code: &str, seconds: i64) -> Result<Option<i64>> {
    let totp = totp(secret, None, String::new())?;
    let step = totp.check(code, u64::try_from(seconds).unwrap_or_default());
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

fn totp(secret: &[u8], issuer: Option<String>, account: String) -> Result<Totp> {
    let builder = Builder::new().with_secret(secret.to_vec()).with_skew(1).with_issuer(issuer).with_account_name(account);
    builder.build().map_err(|fault| Error::internal(format!("a TOTP secret: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, SHA-1, the last six of its eight digits.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    #[test]
    fn the_vectors_of_the_standard() {
        for (seconds, code) in VECTORS {
            let step = seconds / 30;
            assert_eq!(step_of(b"12345678901234567890", code, seconds).unwrap(), Some(step));
            // 30 s off is one step, 60 s may be two.
            for (off, good) in [(-30, true), (30, true), (-90, false), (90, false), (60, false), (-60, false)] {
                if seconds + off < 0 {
                    continue;
                }
                let found = step_of(b"12345678901234567890", code, seconds + off).unwrap();
                assert_eq!(found, good.then_some(step), "{code} at {seconds} {off:+}");
            }
        }
    }

    #[test]
    fn a_sheet_says_what_an_app_needs() {
        let sheet = sheet(b"12345678901234567890", "Acme: Inc", "ada@example.com").unwrap();
        assert_eq!(sheet.secret.expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = sheet.uri.expose_secret();
        assert!(
            uri.starts_with("otpauth://totp/Acme%20%20Inc:ada%40example.com?") || uri.starts_with("otpauth://totp/Acme%20%20Inc:ada@example.com?"),
            "{uri}"
        );
        assert!(uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") && uri.contains("issuer=Acme"), "{uri}");
        assert!(sheet.svg().unwrap().contains("<svg"));
        assert!(sheet.png().unwrap().starts_with(b"\x89PNG"));
    }
}

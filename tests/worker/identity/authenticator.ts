/** An authenticator app: reads the secret from the page that shows it and generates the current codes. */
import { createOTP } from '@better-auth/utils/otp';

/**
 * @param page the text of the page that sets up a second factor
 * @returns a function that generates the current code
 */
export function totpFromPage(page: string): () => Promise<string> {
  const secret = page.match(/data-secret[^>]*>([A-Z2-7=]+)</)![1]!;
  return () => createOTP(decode(secret), { digits: 6, period: 30 }).totp();
}

/** Decodes base32 (RFC 4648). */
function decode(text: string): string {
  const bits = [...text.replaceAll('=', '')]
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  return String.fromCharCode(...bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
}

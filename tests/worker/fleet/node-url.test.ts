/** Addresses that a node may register, and private ones that it may not. */
import { describe, expect, it } from 'vitest';
import { checkNodeUrl, type NodeUrlFault } from '../../../worker/domain/node-url.ts';

const production = { development: false };

describe('the address of a node', () => {
  it.each([
    ['https://gpu-1.example.com', 'https://gpu-1.example.com'],
    ['https://gpu-1.example.com:8443/', 'https://gpu-1.example.com:8443'],
    ['https://GPU-1.Example.com:443', 'https://gpu-1.example.com'],
    ['https://8.8.8.8:8443', 'https://8.8.8.8:8443'],
    ['https://172.32.0.1', 'https://172.32.0.1'],
    ['https://[2606:4700::1111]:8443', 'https://[2606:4700::1111]:8443'],
  ])('%s is accepted as %s', (text, origin) => {
    expect(checkNodeUrl(text, production)).toEqual({ ok: true, origin });
  });

  it.each<[string, NodeUrlFault]>([
    ['gpu-1.example.com', 'not_a_url'],
    ['', 'not_a_url'],
    ['http://gpu-1.example.com', 'not_https'],
    ['ftp://gpu-1.example.com', 'not_https'],
    ['https://user:secret@gpu-1.example.com', 'has_credentials'],
    ['https://user@gpu-1.example.com', 'has_credentials'],
    ['https://gpu-1.example.com/v1', 'has_path_or_query'],
    ['https://gpu-1.example.com/?to=http://10.0.0.1', 'has_path_or_query'],
    ['https://gpu-1.example.com/#x', 'has_path_or_query'],
    ['https://localhost', 'private_name'],
    ['https://LOCALHOST:8443', 'private_name'],
    ['https://node.localhost', 'private_name'],
    ['https://metadata.google.internal', 'private_name'],
    ['https://printer.local', 'private_name'],
    ['https://router.home.arpa', 'private_name'],
    ['https://intranet', 'private_name'],
    ['https://gpu-1.example.com.', 'malformed_name'],
    ['https://localhost.', 'malformed_name'],
    ['https://gpu_1.example.com', 'malformed_name'],
    ['https://127.0.0.1', 'private_address'],
    ['https://127.0.0.1.', 'private_address'],
    ['https://127.1', 'private_address'],
    ['https://2130706433', 'private_address'],
    ['https://0x7f000001', 'private_address'],
    ['https://0x7f.0.0.1', 'private_address'],
    ['https://017700000001', 'private_address'],
    ['https://１２７.0.0.1', 'private_address'],
    ['https://0.0.0.0', 'private_address'],
    ['https://10.1.2.3', 'private_address'],
    ['https://100.64.0.1', 'private_address'],
    ['https://169.254.169.254', 'private_address'],
    ['https://2852039166', 'private_address'],
    ['https://172.16.0.1', 'private_address'],
    ['https://172.31.255.255', 'private_address'],
    ['https://192.168.1.1', 'private_address'],
    ['https://198.18.0.1', 'private_address'],
    ['https://224.0.0.1', 'private_address'],
    ['https://255.255.255.255', 'private_address'],
    ['https://[::]', 'private_address'],
    ['https://[::1]', 'private_address'],
    ['https://[::ffff:127.0.0.1]', 'private_address'],
    ['https://[::ffff:8.8.8.8]', 'private_address'],
    ['https://[64:ff9b::a00:1]', 'private_address'],
    ['https://[fc00::1]', 'private_address'],
    ['https://[fd12:3456::1]', 'private_address'],
    ['https://[fe80::1]', 'private_address'],
    ['https://[ff02::1]', 'private_address'],
    ['https://[2001::1]', 'private_address'],
    ['https://[2001:db8::1]', 'private_address'],
    ['https://[2002:7f00:1::]', 'private_address'],
    ['https://[3fff::1]', 'private_address'],
  ])('%s is refused: %s', (text, fault) => {
    expect(checkNodeUrl(text, production)).toEqual({ ok: false, fault });
    expect(checkNodeUrl(text, { development: true })).toEqual({ ok: false, fault });
  });

  it.each(['http://127.0.0.1:30001', 'http://localhost:30001', 'http://[::1]:30001'])(
    '%s is accepted in development only',
    (text) => {
      expect(checkNodeUrl(text, { development: true })).toEqual({ ok: true, origin: text });
      expect(checkNodeUrl(text, production)).toEqual({ ok: false, fault: 'not_https' });
    },
  );

  it('refuses plain http to any other address in every environment', () => {
    for (const text of ['http://10.0.0.1', 'http://127.0.0.1.example.com', 'http://localhost.example.com']) {
      expect(checkNodeUrl(text, { development: true })).toEqual({ ok: false, fault: 'not_https' });
    }
  });
});

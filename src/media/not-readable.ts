import { InputError } from '../errors.js';

/** Why a file cannot be opened, as an InputError where it is the file's own fault. */
export function notReadable(path: string, cause: NodeJS.ErrnoException): Error {
  const reasons: Record<string, string> = {
    ENOENT: 'does not exist',
    ENOTDIR: 'does not exist: a part of its path is not a folder',
    EACCES: 'may not be read: permission denied',
    EPERM: 'may not be read: permission denied',
    ELOOP: 'is a symbolic link that leads in a circle',
    ENAMETOOLONG: 'does not exist: the name is too long',
    ENXIO: 'is a socket or a device: expected a video file',
    ERR_INVALID_ARG_VALUE: 'is not a path: it holds a null byte',
  };
  const reason = reasons[cause.code ?? ''];
  return reason ? new InputError(`${quotePath(path)} ${reason}`, { cause }) : cause;
}

export function quotePath(path: string): string {
  return JSON.stringify(path);
}

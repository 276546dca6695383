package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write gives a file the content that write brings, and exactly the rights perm. It is on
// disk when Write returns. After an error the file is as it was before, but for one of
// the last step, the folder's: then it is new, and may be old again after a power cut.
func Write(path string, perm fs.FileMode, write func(io.Writer) error) error {
	tmp := path + ".new"
	// One that is there may have other rights, or readers.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm&0o700)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(perm) // whatever the umask is
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp))
	}
	return SyncDirs(filepath.Dir(path))
}

// WriteBytes is Write of what is at hand.
func WriteBytes(path string, perm fs.FileMode, content []byte) error {
	return Write(path, perm, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// Rename moves a file within its folder, in one step that a power cut does not undo. Its
// content has to be on disk.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err // it names both
	}
	return SyncDirs(filepath.Dir(to))
}

// SyncDirs brings to disk which files folders have.
func SyncDirs(dirs ...string) error {
	for _, dir := range dirs {
		d, err := os.Open(dir)
		if err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
	}
	return nil
}

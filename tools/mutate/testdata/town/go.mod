module town

go 1.26
